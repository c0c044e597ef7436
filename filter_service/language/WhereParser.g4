// Grammar of `where` (behaviour, section 5). LL(1): every decision is taken on one token, which keeps parsing linear.
parser grammar WhereParser;

options { tokenVocab = WhereLexer; }

where : condition* EOF ;

// An unknown operator is well-formed: parser.py refuses it, unless the text is malformed before it.
condition : path ( ( EQUALS_ONE | EQUALS_UNKNOWN ) values | EQUALS_SET items ) END ;

path : STEP ( DOT STEP )* ;

// Operators that take one value count what is there, empty values included: "5," has two (4003, not 4000).
values : ( value | COMMA value? ) ( COMMA value? )* ;

items : value ( COMMA value )* ;

value : BARE | QUOTED ;
