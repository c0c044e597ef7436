# Generated from WhereParser.g4 by ANTLR 4.13.2
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
        4,1,10,64,2,0,7,0,2,1,7,1,2,2,7,2,2,3,7,3,2,4,7,4,2,5,7,5,1,0,5,
        0,14,8,0,10,0,12,0,17,9,0,1,0,1,0,1,1,1,1,1,1,1,1,1,1,3,1,26,8,1,
        1,1,1,1,1,2,1,2,1,2,5,2,33,8,2,10,2,12,2,36,9,2,1,3,1,3,1,3,3,3,
        41,8,3,3,3,43,8,3,1,3,1,3,3,3,47,8,3,5,3,49,8,3,10,3,12,3,52,9,3,
        1,4,1,4,1,4,5,4,57,8,4,10,4,12,4,60,9,4,1,5,1,5,1,5,0,0,6,0,2,4,
        6,8,10,0,2,2,0,3,3,5,5,1,0,7,8,65,0,15,1,0,0,0,2,20,1,0,0,0,4,29,
        1,0,0,0,6,42,1,0,0,0,8,53,1,0,0,0,10,61,1,0,0,0,12,14,3,2,1,0,13,
        12,1,0,0,0,14,17,1,0,0,0,15,13,1,0,0,0,15,16,1,0,0,0,16,18,1,0,0,
        0,17,15,1,0,0,0,18,19,5,0,0,1,19,1,1,0,0,0,20,25,3,4,2,0,21,22,7,
        0,0,0,22,26,3,6,3,0,23,24,5,4,0,0,24,26,3,8,4,0,25,21,1,0,0,0,25,
        23,1,0,0,0,26,27,1,0,0,0,27,28,5,10,0,0,28,3,1,0,0,0,29,34,5,1,0,
        0,30,31,5,2,0,0,31,33,5,1,0,0,32,30,1,0,0,0,33,36,1,0,0,0,34,32,
        1,0,0,0,34,35,1,0,0,0,35,5,1,0,0,0,36,34,1,0,0,0,37,43,3,10,5,0,
        38,40,5,9,0,0,39,41,3,10,5,0,40,39,1,0,0,0,40,41,1,0,0,0,41,43,1,
        0,0,0,42,37,1,0,0,0,42,38,1,0,0,0,43,50,1,0,0,0,44,46,5,9,0,0,45,
        47,3,10,5,0,46,45,1,0,0,0,46,47,1,0,0,0,47,49,1,0,0,0,48,44,1,0,
        0,0,49,52,1,0,0,0,50,48,1,0,0,0,50,51,1,0,0,0,51,7,1,0,0,0,52,50,
        1,0,0,0,53,58,3,10,5,0,54,55,5,9,0,0,55,57,3,10,5,0,56,54,1,0,0,
        0,57,60,1,0,0,0,58,56,1,0,0,0,58,59,1,0,0,0,59,9,1,0,0,0,60,58,1,
        0,0,0,61,62,7,1,0,0,62,11,1,0,0,0,8,15,25,34,40,42,46,50,58
    ]

class WhereParser ( Parser ):

    grammarFileName = "WhereParser.g4"

    atn = ATNDeserializer().deserialize(serializedATN())

    decisionsToDFA = [ DFA(ds, i) for i, ds in enumerate(atn.decisionToState) ]

    sharedContextCache = PredictionContextCache()

    literalNames = [ "<INVALID>", "<INVALID>", "'.'", "<INVALID>", "<INVALID>", 
                     "<INVALID>", "<INVALID>", "<INVALID>", "<INVALID>", 
                     "','", "';'" ]

    symbolicNames = [ "<INVALID>", "STEP", "DOT", "EQUALS_ONE", "EQUALS_SET", 
                      "EQUALS_UNKNOWN", "OTHER", "BARE", "QUOTED", "COMMA", 
                      "END" ]

    RULE_where = 0
    RULE_condition = 1
    RULE_path = 2
    RULE_values = 3
    RULE_items = 4
    RULE_value = 5

    ruleNames =  [ "where", "condition", "path", "values", "items", "value" ]

    EOF = Token.EOF
    STEP=1
    DOT=2
    EQUALS_ONE=3
    EQUALS_SET=4
    EQUALS_UNKNOWN=5
    OTHER=6
    BARE=7
    QUOTED=8
    COMMA=9
    END=10

    def __init__(self, input:TokenStream, output:TextIO = sys.stdout):
        super().__init__(input, output)
        self.checkVersion("4.13.2")
        self._interp = ParserATNSimulator(self, self.atn, self.decisionsToDFA, self.sharedContextCache)
        self._predicates = None




    class WhereContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def EOF(self):
            return self.getToken(WhereParser.EOF, 0)

        def condition(self, i:int=None):
            if i is None:
                return self.getTypedRuleContexts(WhereParser.ConditionContext)
            else:
                return self.getTypedRuleContext(WhereParser.ConditionContext,i)


        def getRuleIndex(self):
            return WhereParser.RULE_where

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitWhere" ):
                return visitor.visitWhere(self)
            else:
                return visitor.visitChildren(self)




    def where(self):

        localctx = WhereParser.WhereContext(self, self._ctx, self.state)
        self.enterRule(localctx, 0, self.RULE_where)
        self._la = 0 # Token type
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 15
            self._errHandler.sync(self)
            _la = self._input.LA(1)
            while _la==1:
                self.state = 12
                self.condition()
                self.state = 17
                self._errHandler.sync(self)
                _la = self._input.LA(1)

            self.state = 18
            self.match(WhereParser.EOF)
        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx


    class ConditionContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def path(self):
            return self.getTypedRuleContext(WhereParser.PathContext,0)


        def END(self):
            return self.getToken(WhereParser.END, 0)

        def values(self):
            return self.getTypedRuleContext(WhereParser.ValuesContext,0)


        def EQUALS_SET(self):
            return self.getToken(WhereParser.EQUALS_SET, 0)

        def items(self):
            return self.getTypedRuleContext(WhereParser.ItemsContext,0)


        def EQUALS_ONE(self):
            return self.getToken(WhereParser.EQUALS_ONE, 0)

        def EQUALS_UNKNOWN(self):
            return self.getToken(WhereParser.EQUALS_UNKNOWN, 0)

        def getRuleIndex(self):
            return WhereParser.RULE_condition

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitCondition" ):
                return visitor.visitCondition(self)
            else:
                return visitor.visitChildren(self)




    def condition(self):

        localctx = WhereParser.ConditionContext(self, self._ctx, self.state)
        self.enterRule(localctx, 2, self.RULE_condition)
        self._la = 0 # Token type
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 20
            self.path()
            self.state = 25
            self._errHandler.sync(self)
            token = self._input.LA(1)
            if token in [3, 5]:
                self.state = 21
                _la = self._input.LA(1)
                if not(_la==3 or _la==5):
                    self._errHandler.recoverInline(self)
                else:
                    self._errHandler.reportMatch(self)
                    self.consume()
                self.state = 22
                self.values()
                pass
            elif token in [4]:
                self.state = 23
                self.match(WhereParser.EQUALS_SET)
                self.state = 24
                self.items()
                pass
            else:
                raise NoViableAltException(self)

            self.state = 27
            self.match(WhereParser.END)
        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx


    class PathContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def STEP(self, i:int=None):
            if i is None:
                return self.getTokens(WhereParser.STEP)
            else:
                return self.getToken(WhereParser.STEP, i)

        def DOT(self, i:int=None):
            if i is None:
                return self.getTokens(WhereParser.DOT)
            else:
                return self.getToken(WhereParser.DOT, i)

        def getRuleIndex(self):
            return WhereParser.RULE_path

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitPath" ):
                return visitor.visitPath(self)
            else:
                return visitor.visitChildren(self)




    def path(self):

        localctx = WhereParser.PathContext(self, self._ctx, self.state)
        self.enterRule(localctx, 4, self.RULE_path)
        self._la = 0 # Token type
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 29
            self.match(WhereParser.STEP)
            self.state = 34
            self._errHandler.sync(self)
            _la = self._input.LA(1)
            while _la==2:
                self.state = 30
                self.match(WhereParser.DOT)
                self.state = 31
                self.match(WhereParser.STEP)
                self.state = 36
                self._errHandler.sync(self)
                _la = self._input.LA(1)

        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx


    class ValuesContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def value(self, i:int=None):
            if i is None:
                return self.getTypedRuleContexts(WhereParser.ValueContext)
            else:
                return self.getTypedRuleContext(WhereParser.ValueContext,i)


        def COMMA(self, i:int=None):
            if i is None:
                return self.getTokens(WhereParser.COMMA)
            else:
                return self.getToken(WhereParser.COMMA, i)

        def getRuleIndex(self):
            return WhereParser.RULE_values

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitValues" ):
                return visitor.visitValues(self)
            else:
                return visitor.visitChildren(self)




    def values(self):

        localctx = WhereParser.ValuesContext(self, self._ctx, self.state)
        self.enterRule(localctx, 6, self.RULE_values)
        self._la = 0 # Token type
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 42
            self._errHandler.sync(self)
            token = self._input.LA(1)
            if token in [7, 8]:
                self.state = 37
                self.value()
                pass
            elif token in [9]:
                self.state = 38
                self.match(WhereParser.COMMA)
                self.state = 40
                self._errHandler.sync(self)
                _la = self._input.LA(1)
                if _la==7 or _la==8:
                    self.state = 39
                    self.value()


                pass
            else:
                raise NoViableAltException(self)

            self.state = 50
            self._errHandler.sync(self)
            _la = self._input.LA(1)
            while _la==9:
                self.state = 44
                self.match(WhereParser.COMMA)
                self.state = 46
                self._errHandler.sync(self)
                _la = self._input.LA(1)
                if _la==7 or _la==8:
                    self.state = 45
                    self.value()


                self.state = 52
                self._errHandler.sync(self)
                _la = self._input.LA(1)

        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx


    class ItemsContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def value(self, i:int=None):
            if i is None:
                return self.getTypedRuleContexts(WhereParser.ValueContext)
            else:
                return self.getTypedRuleContext(WhereParser.ValueContext,i)


        def COMMA(self, i:int=None):
            if i is None:
                return self.getTokens(WhereParser.COMMA)
            else:
                return self.getToken(WhereParser.COMMA, i)

        def getRuleIndex(self):
            return WhereParser.RULE_items

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitItems" ):
                return visitor.visitItems(self)
            else:
                return visitor.visitChildren(self)




    def items(self):

        localctx = WhereParser.ItemsContext(self, self._ctx, self.state)
        self.enterRule(localctx, 8, self.RULE_items)
        self._la = 0 # Token type
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 53
            self.value()
            self.state = 58
            self._errHandler.sync(self)
            _la = self._input.LA(1)
            while _la==9:
                self.state = 54
                self.match(WhereParser.COMMA)
                self.state = 55
                self.value()
                self.state = 60
                self._errHandler.sync(self)
                _la = self._input.LA(1)

        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx


    class ValueContext(ParserRuleContext):
        __slots__ = 'parser'

        def __init__(self, parser, parent:ParserRuleContext=None, invokingState:int=-1):
            super().__init__(parent, invokingState)
            self.parser = parser

        def BARE(self):
            return self.getToken(WhereParser.BARE, 0)

        def QUOTED(self):
            return self.getToken(WhereParser.QUOTED, 0)

        def getRuleIndex(self):
            return WhereParser.RULE_value

        def accept(self, visitor:ParseTreeVisitor):
            if hasattr( visitor, "visitValue" ):
                return visitor.visitValue(self)
            else:
                return visitor.visitChildren(self)




    def value(self):

        localctx = WhereParser.ValueContext(self, self._ctx, self.state)
        self.enterRule(localctx, 10, self.RULE_value)
        self._la = 0 # Token type
        try:
            self.enterOuterAlt(localctx, 1)
            self.state = 61
            _la = self._input.LA(1)
            if not(_la==7 or _la==8):
                self._errHandler.recoverInline(self)
            else:
                self._errHandler.reportMatch(self)
                self.consume()
        except RecognitionException as re:
            localctx.exception = re
            self._errHandler.reportError(self, re)
            self._errHandler.recover(self, re)
        finally:
            self.exitRule()
        return localctx





