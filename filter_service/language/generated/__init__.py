"""Written by ANTLR from the grammars beside this folder (`make generate`): never edited by hand."""
