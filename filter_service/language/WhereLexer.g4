// Tokens of `where` (behaviour, section 5).
//
// The language knows no context-free words: what a run of characters means depends on the side of the "=" it stands
// on. So "=" takes the operator that follows it into its own token and changes the mode, and ";" changes it back.
// Tokens are long (a value is one token) because the cost of the Python runtime is per token.
//
// Every character is part of some token: OTHER takes what fits nowhere, so that the parser, which reads from left to
// right, reports whatever is wrong leftmost.
//
// parser.py presents code points above U+007E as representatives of their classes: see CodePoints there before using
// any of them in a rule.
lexer grammar WhereLexer;

STEP : ~[=;,:".\p{Cc}\u2028\u2029]+ ;
DOT  : '.' ;

// Among equally long matches the first rule wins.
EQUALS_ONE     : '=' ( ( 'eq' | 'neq' | 'gt' | 'gte' | 'lt' | 'lte' | 'bool' ) ':' )? -> mode(VALUES) ;
EQUALS_SET     : '=' ( 'in' | 'nin' ) ':' -> mode(VALUES) ;
EQUALS_UNKNOWN : '=' [a-z]+ ':' -> mode(VALUES) ;

OTHER : . ;

mode VALUES;

BARE   : ~[,;"\n\r\u2028\u2029]+ ;
QUOTED : '"' ( ~["\\\n\r\u2028\u2029] | '\\' . )* '"' ;
COMMA  : ',' ;
END    : ';' -> mode(DEFAULT_MODE) ;

OTHER_VALUE : . -> type(OTHER) ;
