//! What stands between operators: numbers, strings, selectors, calls and aggregations.

use super::{Fault, Node, Parsed, Parser, is_keyword, is_reserved, special_number};
use crate::promql::ast::{AGGREGATIONS, Aggregate, Aggregation, Call, Expr};
use crate::promql::lex::Kind;
use crate::promql::{ValueKind, types};

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Parsed<Node> {
        let token = self.peek().clone();
        let leaf = |parser: &Self, expr| parser.node(token.at, expr, 0);
        match token.kind {
            Kind::Number | Kind::Duration => {
                let number = self.number()?;
                leaf(self, Expr::Number(number))
            }
            Kind::String => {
                let text = self.string()?;
                leaf(self, Expr::String(text))
            }
            Kind::Symbol if token.text == "(" => {
                self.advance();
                let inner = self.expression(0)?;
                self.expect_symbol(")", "")?;
                self.node(token.at, Expr::Paren(Box::new(inner.expr)), inner.depth)
            }
            Kind::Symbol if token.text == "{" => {
                let selector = self.selector(None, token.at)?;
                leaf(self, selector)
            }
            Kind::MetricName => self.metric(),
            Kind::Word => self.word(),
            Kind::Symbol | Kind::Label | Kind::End | Kind::Bad(_) => Err(self.unexpected("", "")),
        }
    }

    /// A word: an aggregation, a function, a number, or a metric.
    fn word(&mut self) -> Parsed<Node> {
        let token = self.peek().clone();
        if let Some(number) = special_number(&token) {
            self.advance();
            return self.node(token.at, Expr::Number(number), 0);
        }
        let is = |word: &&str| token.text.eq_ignore_ascii_case(word);
        if is_reserved(token.text) {
            return Err(self.unexpected("", ""));
        }
        let follows = &self.tokens[(self.next + 1).min(self.tokens.len() - 1)];
        let opens = follows.kind == Kind::Symbol && follows.text == "(";
        let groups = follows.kind == Kind::Word
            && ["by", "without"]
                .iter()
                .any(|word| follows.text.eq_ignore_ascii_case(word));
        if (opens || groups)
            && let Some((_, op)) = AGGREGATIONS.iter().find(|(name, _)| is(name))
        {
            return self.aggregation(*op);
        }
        if (opens && !is_keyword(token.text)) || (groups && types::is_experimental(token.text)) {
            // Also of an aggregation that is experimental, which is told by its name.
            return self.call();
        }
        self.metric()
    }

    fn metric(&mut self) -> Parsed<Node> {
        let token = self.advance();
        let selector = self.selector(Some(token.text), token.at)?;
        self.node(token.at, selector, 0)
    }

    fn call(&mut self) -> Parsed<Node> {
        let token = self.advance();
        let signature = types::signature(token.text).map_err(|why| Fault::new(token.at, why))?;
        if signature.name == "label_replace" {
            self.pattern(token.at)?;
        }
        let args = self.arguments()?;
        let places: Vec<usize> = args.iter().map(|arg| arg.at).collect();
        let deepest = deepest(&args);
        let args: Vec<Expr> = args.into_iter().map(|arg| arg.expr).collect();
        if let Err((arg, message)) = types::check_call(signature, &args) {
            self.misfit(arg.map_or(token.at, |arg| places[arg]), message);
        }
        let name = signature.name;
        self.node(token.at, Expr::Call(Call { name, args }), deepest)
    }

    fn arguments(&mut self) -> Parsed<Vec<Node>> {
        self.expect_symbol("(", "aggregation")?;
        let mut args = Vec::new();
        if self.take_symbol(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if self.take_symbol(")") {
                return Ok(args);
            }
            let comma = self.peek().at;
            self.expect_symbol(",", "")?;
            if self.is_symbol(")") {
                return Err(Fault::new(
                    comma,
                    "trailing commas not allowed in function call args",
                ));
            }
        }
    }

    pub(super) fn aggregation(&mut self, op: Aggregation) -> Parsed<Node> {
        let at = self.advance().at;
        let before = self.grouping()?;
        let mut args = self.arguments()?;
        let grouping = match before {
            Some(grouping) => grouping,
            None => self.grouping()?.unwrap_or_default(),
        };
        if args.is_empty() {
            return Err(Fault::new(at, "no arguments for aggregate expression provided"));
        }
        let parameter = types::parameter(op);
        let due = 1 + usize::from(parameter.is_some());
        if args.len() != due {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {due}, got {}",
                args.len()
            );
            return Err(Fault::new(at, message));
        }
        let deepest = deepest(&args);
        let last = args.remove(due - 1);
        self.fits(&last, ValueKind::Vector, "expression");
        let param = args.pop();
        if let (Some(param), Some(kind)) = (&param, parameter) {
            self.fits(param, kind, "parameter");
        }
        let aggregate = Aggregate {
            op,
            param: param.map(|param| Box::new(param.expr)),
            expr: Box::new(last.expr),
            grouping,
        };
        self.node(at, Expr::Aggregate(aggregate), deepest)
    }

    fn fits(&mut self, node: &Node, due: ValueKind, role: &str) {
        let got = node.expr.kind();
        if got != due {
            let (due, got) = (types::word(due), types::word(got));
            let message = format!("expected type {due} in aggregation {role}, got {got}");
            self.misfit(node.at, message);
        }
    }
}

fn deepest(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| node.depth).max().unwrap_or(0)
}
