// Grammar of `fields` (behaviour, section 6): json-mask. LL(1); a chain of slashes is a loop, so that only
// parentheses nest (parser.py bounds how deep).
grammar Fields;

fields : members EOF ;

members : member ( COMMA member )* ;

member : NAME ( SLASH NAME )* ( OPEN members CLOSE )? ;

COMMA : ',' ;
SLASH : '/' ;
OPEN  : '(' ;
CLOSE : ')' ;

// Anything else is literal: blanks, dots, quotes, line breaks. "*" is the wildcard when it is the whole name.
NAME : ~[,/()]+ ;
