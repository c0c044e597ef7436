# Generated from WhereParser.g4 by ANTLR 4.13.2
from antlr4 import *
if "." in __name__:
    from .WhereParser import WhereParser
else:
    from WhereParser import WhereParser

# This class defines a complete generic visitor for a parse tree produced by WhereParser.

class WhereParserVisitor(ParseTreeVisitor):

    # Visit a parse tree produced by WhereParser#where.
    def visitWhere(self, ctx:WhereParser.WhereContext):
        return self.visitChildren(ctx)


    # Visit a parse tree produced by WhereParser#condition.
    def visitCondition(self, ctx:WhereParser.ConditionContext):
        return self.visitChildren(ctx)


    # Visit a parse tree produced by WhereParser#path.
    def visitPath(self, ctx:WhereParser.PathContext):
        return self.visitChildren(ctx)


    # Visit a parse tree produced by WhereParser#values.
    def visitValues(self, ctx:WhereParser.ValuesContext):
        return self.visitChildren(ctx)


    # Visit a parse tree produced by WhereParser#items.
    def visitItems(self, ctx:WhereParser.ItemsContext):
        return self.visitChildren(ctx)


    # Visit a parse tree produced by WhereParser#value.
    def visitValue(self, ctx:WhereParser.ValueContext):
        return self.visitChildren(ctx)



del WhereParser