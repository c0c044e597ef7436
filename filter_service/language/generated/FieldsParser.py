# Generated from Fields.g4 by ANTLR 4.13.2
# encoding: utf-8
from antlr4 import *
from io import StringIO
import sys
if sys.version_info[1] > 5:
	from typing import TextIO
else:
	from typing.io import TextIO

def serializedATN():
    return [
        4,1,5,32,2,0,7,0,2,1,7,1,2,2,7,2,1,0,1,0,1,0,1,1,1,1,1,1,5,1,13,
        8,1,10,1,12,1,16,9,1,1,2,1,2,1,2,5,2,21,8,2,10,2,12,2,24,9,2,1,2,
        1,2,1,2,1,2,3,2,30,8,2,1,2,0,0,3,0,2,4,0,0,31,0,6,1,0,0,0,2,9,1,
        0,0,0,4,17,1,0,0,0,6,7,3,2,1,0,7,8,5,0,0,1,8,1,1,0,0,0,9,14,3,4,
        2,0,10,11,5,1,0,0,11,13,3,4,2,0,12,10,1,0,0,0,13,16,1,0,0,0,14,12,
        1,0,0,0,14,15,1,0,0,0,15,3,1,0,0,0,16,14,1,0,0,0,17,22,5,5,0,0,18,
        19,5,2,0,0,19,21,5,5,0,0,20,18,1,0,0,0,21,24,1,0,0,0,22,20,1,0,0,
        0,22,23,1,0,0,0,23,29,1,0,0,0,24,22,1,0,0,0,25,26,5,3,0,0,26,27,
        3,2,1,0,27,28,5,4,0,0,28,30,1,0,0,0,29,25,1,0,0,0,29,30,1,0,0,0,
        30,5,1,0,0,0,3,14,22,29
    ]

class FieldsParser ( Parser ):

    grammarFileName = "Fields.g4"

    atn = ATNDeserializer().deserialize(serializedATN())

    decisionsToDFA = [ DFA(ds, i) for i, ds in enumerate(atn.decisionToState) ]

    sharedContextCache = PredictionContextCache()

    literalNames = [ "<INVALID>", "','", "'/'", "'('", "')'" ]

    symbolicNames = [ "<INVALID>", "COMMA", "SLASH", "OPEN", "CLOSE", "NAME" ]

    RULE_fields = 0
    RULE_members = 1
    RULE_member = 2

    ruleNames =  [ "fields", "members", "member" ]

    EOF = Token.EOF
    COMMA=1
    SLASH=2
    OPEN=3
    CLOSE=4
    NAME=5

    def __init__(self, input:TokenStream, output:TextIO = sys.stdout):
        super().__init__(input, output)
        self.checkVersion("4.13.2")
        self._interp = ParserATNSimulator(self, self.atn, self.decisionsToDFA, self.sharedContextCache)
        self._predicates = None




    class FieldsContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def members(self):
            return self.getTypedRuleContext(FieldsParser.MembersContext,0)


        def EOF(self):
            return self.getToken(FieldsParser.EOF, 0)

        def getRuleIndex(self):
            return FieldsParser.RULE_fields

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitFields" ):
                return visitor.visitFields(self)
            else:
                return visitor.visitChildren(self)




    def fields(self):

        localctx = FieldsParser.FieldsContext(self, self._ctx, self.state)
        self.enterRule(localctx, 0, self.RULE_fields)
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 6
            self.members()
            self.state = 7
            self.match(FieldsParser.EOF)
        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx


    class MembersContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def member(self, i:int=None):
            if i is None:
                return self.getTypedRuleContexts(FieldsParser.MemberContext)
            else:
                return self.getTypedRuleContext(FieldsParser.MemberContext,i)


        def COMMA(self, i:int=None):
            if i is None:
                return self.getTokens(FieldsParser.COMMA)
            else:
                return self.getToken(FieldsParser.COMMA, i)

        def getRuleIndex(self):
            return FieldsParser.RULE_members

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitMembers" ):
                return visitor.visitMembers(self)
            else:
                return visitor.visitChildren(self)




    def members(self):

        localctx = FieldsParser.MembersContext(self, self._ctx, self.state)
        self.enterRule(localctx, 2, self.RULE_members)
        self._la = 0 # Token type
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 9
            self.member()
            self.state = 14
            self._errHandler.sync(self)
            _la = self._input.LA(1)
            while _la==1:
                self.state = 10
                self.match(FieldsParser.COMMA)
                self.state = 11
                self.member()
                self.state = 16
                self._errHandler.sync(self)
                _la = self._input.LA(1)

        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx


    class MemberContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def NAME(self, i:int=None):
            if i is None:
                return self.getTokens(FieldsParser.NAME)
            else:
                return self.getToken(FieldsParser.NAME, i)

        def SLASH(self, i:int=None):
            if i is None:
                return self.getTokens(FieldsParser.SLASH)
            else:
                return self.getToken(FieldsParser.SLASH, i)

        def OPEN(self):
            return self.getToken(FieldsParser.OPEN, 0)

        def members(self):
            return self.getTypedRuleContext(FieldsParser.MembersContext,0)


        def CLOSE(self):
            return self.getToken(FieldsParser.CLOSE, 0)

        def getRuleIndex(self):
            return FieldsParser.RULE_member

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitMember" ):
                return visitor.visitMember(self)
            else:
                return visitor.visitChildren(self)




    def member(self):

        localctx = FieldsParser.MemberContext(self, self._ctx, self.state)
        self.enterRule(localctx, 4, self.RULE_member)
        self._la = 0 # Token type
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 17
            self.match(FieldsParser.NAME)
            self.state = 22
            self._errHandler.sync(self)
            _la = self._input.LA(1)
            while _la==2:
                self.state = 18
                self.match(FieldsParser.SLASH)
                self.state = 19
                self.match(FieldsParser.NAME)
                self.state = 24
                self._errHandler.sync(self)
                _la = self._input.LA(1)

            self.state = 29
            self._errHandler.sync(self)
            _la = self._input.LA(1)
            if _la==3:
                self.state = 25
                self.match(FieldsParser.OPEN)
                self.state = 26
                self.members()
                self.state = 27
                self.match(FieldsParser.CLOSE)


        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx





