# Generated from Fields.g4 by ANTLR 4.13.2
from antlr4 import *
if "." in __name__:
    from .FieldsParser import FieldsParser
else:
    from FieldsParser import FieldsParser

# This class defines a complete generic visitor for a parse tree produced by FieldsParser.

class FieldsVisitor(ParseTreeVisitor):

    # Visit a parse tree produced by FieldsParser#fields.
    def visitFields(self, ctx:FieldsParser.FieldsContext):
        return self.visitChildren(ctx)


    # Visit a parse tree produced by FieldsParser#members.
    def visitMembers(self, ctx:FieldsParser.MembersContext):
        return self.visitChildren(ctx)


    # Visit a parse tree produced by FieldsParser#member.
    def visitMember(self, ctx:FieldsParser.MemberContext):
        return self.visitChildren(ctx)



del FieldsParser