//! Template text → a tree that is checked as Go checks it, and adjusted so that it prints what Go prints.
//!
//! gotmpl parses more than Go does and prints floats and missing labels in its own way. So the block structure, the
//! variables and the functions are checked here, each `{{ … }}` gets a last step that prints as Go does, and each
//! `.Name` becomes a call that gives the empty text for a label that is missing.

use std::collections::BTreeSet;

use gotmpl::parse::{CommandNode, DefineNode, Expr, ListNode, Node, Parser, PipeNode, Pos, SmolStr};

use super::functions::{self, BOUND, FIELD, NOTHING, PRINT};

/// A checked and adjusted template.
pub(super) struct Syntax {
    /// What stands outside of `{{define}}`.
    pub body: ListNode,
    /// Named templates.
    pub defines: Vec<DefineNode>,
    /// What it asks for.
    pub uses: Uses,
}

/// What a template asks for.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Names of labels.
    pub labels: BTreeSet<String>,
    /// Queries that stand in it literally.
    pub queries: Vec<String>,
    /// Whether it calls one of [`BOUND`].
    pub bound: bool,
}

/// Parses and checks. `prefix` declares variables and is parsed before the text.
pub(super) fn parse(prefix: &str, text: &str) -> Result<Syntax, String> {
    check_blocks(text)?;
    let source = format!("{prefix}{text}");
    let (mut body, mut defines) = Parser::new(&source, "{{", "}}")
        .and_then(Parser::parse)
        .map_err(|error| without_position(&error))?;
    let mut walk = Walk::default();
    walk.scope(&mut body, &[])?;
    for define in &mut defines {
        walk = Walk {
            uses: walk.uses,
            ..Walk::default()
        };
        walk.scope(&mut define.body, &[])?;
    }
    Ok(Syntax {
        body,
        defines,
        uses: walk.uses,
    })
}

/// The message alone: the position counts the prefix in.
fn without_position(error: &gotmpl::TemplateError) -> String {
    match error {
        gotmpl::TemplateError::Parse { message, .. } | gotmpl::TemplateError::Lex { message, .. } => {
            message.clone()
        }
        other => other.to_string(),
    }
}

/// The parser nests each `else if` in the one before, and walks what is nested with as deep a stack; it bounds other nesting
/// at 100, and not this.
const MAX_CHAIN: usize = 90;

/// A block that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// `if` or `with`, which may have several `else`.
    Branch {
        over: bool,
        /// How many of them go on with another condition.
        chained: usize,
    },
    Range {
        over: bool,
    },
    Define,
}

/// Whether every block is closed, and `else`, `end`, `break` and `continue` stand where they may.
fn check_blocks(text: &str) -> Result<(), String> {
    let mut open: Vec<Block> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (words, after) = action(&rest[at + 2..]);
        rest = after;
        check_words(&words)?;
        let mut words = words.split_whitespace();
        match words.next().unwrap_or("") {
            "if" | "with" => open.push(Block::Branch {
                over: false,
                chained: 0,
            }),
            "range" => open.push(Block::Range { over: false }),
            "define" if !open.is_empty() => {
                return Err("unexpected {{define}} inside another block".to_owned());
            }
            "define" | "block" => open.push(Block::Define),
            "else" => {
                let chained = matches!(words.next(), Some("if" | "with"));
                match open.last_mut() {
                    Some(Block::Branch {
                        over: false,
                        chained: links,
                    }) if chained => {
                        *links += 1;
                        if *links > MAX_CHAIN {
                            return Err(format!("more than {MAX_CHAIN} {{{{else if}}}} in a row"));
                        }
                    }
                    Some(Block::Branch { over, .. } | Block::Range { over }) if !*over && !chained => {
                        *over = true
                    }
                    Some(Block::Branch { .. } | Block::Range { .. }) => {
                        return Err("expected {{end}}; found {{else}}".to_owned());
                    }
                    Some(Block::Define) | None => return Err("unexpected {{else}}".to_owned()),
                }
            }
            "end" => {
                open.pop().ok_or("unexpected {{end}}")?;
            }
            word @ ("break" | "continue") => {
                let inside = open.iter().any(|block| matches!(block, Block::Range { .. }));
                if !inside {
                    return Err(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
            }
            _ => {}
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err("unexpected end: a block is not closed with {{end}}".to_owned())
    }
}

/// Refuses what gotmpl reads and Go does not: two dots in a row, and numbers that are none.
fn check_words(words: &str) -> Result<(), String> {
    if words.contains("..") {
        return Err("unexpected <.> in operand".to_owned());
    }
    let tokens = words.split(|c: char| c.is_whitespace() || "()|,=:".contains(c));
    for token in tokens {
        let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
        if unsigned.starts_with(|c: char| c.is_ascii_digit()) && !is_number(unsigned) {
            return Err(format!("bad number syntax: {token:?}"));
        }
    }
    Ok(())
}

/// Whether Go reads a text that starts with a digit as a number.
fn is_number(text: &str) -> bool {
    let digits = text.replace('_', "").to_ascii_lowercase();
    let all = |text: &str, base: u32| !text.is_empty() && text.chars().all(|c| c.is_digit(base));
    match (digits.get(..2), digits.get(2..)) {
        (Some("0x"), Some(rest)) => all(rest, 16),
        (Some("0b"), Some(rest)) => all(rest, 2),
        (Some("0o"), Some(rest)) => all(rest, 8),
        // A leading zero means octal.
        (Some(_), _) if digits.starts_with('0') && all(&digits, 10) => all(&digits, 8),
        _ => digits.parse::<f64>().is_ok(),
    }
}

/// Splits what follows `{{` into the action's words, without strings and comments, and what follows its `}}`.
fn action(text: &str) -> (String, &str) {
    let text = text.strip_prefix("- ").unwrap_or(text);
    let mut words = String::new();
    let mut rest = text;
    if rest.trim_start().starts_with("/*") {
        rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
    }
    loop {
        if let Some(after) = rest.strip_prefix("}}") {
            return (words, after);
        }
        let Some(letter) = rest.chars().next() else {
            // Not closed: the parser says so.
            return (words, "");
        };
        rest = &rest[letter.len_utf8()..];
        match letter {
            '"' | '\'' | '`' => rest = after_quote(rest, letter),
            '-' if rest.starts_with("}}") => {}
            letter => words.push(letter),
        }
    }
}

/// What follows the end of a string that begins before `text`.
fn after_quote(text: &str, quote: char) -> &str {
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && quote != '`' {
            letters.next();
        } else if letter == quote {
            return &text[at + quote.len_utf8()..];
        }
    }
    ""
}

/// One pass over a tree.
struct Walk {
    uses: Uses,
    /// The variables in scope.
    variables: Vec<SmolStr>,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            uses: Uses::default(),
            variables: vec![SmolStr::new("$")],
        }
    }
}

impl Walk {
    /// A list of nodes with variables of its own, beginning with those of the block's head.
    fn scope(&mut self, list: &mut ListNode, head: &[SmolStr]) -> Result<(), String> {
        let outer = self.variables.len();
        self.variables.extend_from_slice(head);
        let result = list.nodes.iter_mut().try_for_each(|node| self.node(node));
        self.variables.truncate(outer);
        result
    }

    fn node(&mut self, node: &mut Node) -> Result<(), String> {
        match node {
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
            Node::List(list) => self.scope(list, &[]),
            Node::Define(define) => self.scope(&mut define.body, &[]),
            Node::Action(action) => {
                self.pipe(&mut action.pipe)?;
                if action.pipe.decl.is_empty() {
                    action.pipe.commands.push(call(action.pos, PRINT, []));
                } else if !action.pipe.is_assign {
                    self.variables.extend(action.pipe.decl.iter().cloned());
                }
                Ok(())
            }
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                self.pipe(&mut branch.pipe)?;
                let head = if branch.pipe.is_assign {
                    Vec::new()
                } else {
                    branch.pipe.decl.clone()
                };
                self.scope(&mut branch.body, &head)?;
                match &mut branch.else_body {
                    Some(body) => self.scope(body, &head),
                    None => Ok(()),
                }
            }
            Node::Template(template) => match &mut template.pipe {
                Some(pipe) => {
                    self.pipe(pipe)?;
                    // What names no function would not be counted: templates that call each other twice each never end.
                    pipe.commands.push(call(template.pos, FIELD, []));
                    Ok(())
                }
                None => {
                    let pos = template.pos;
                    template.pipe = Some(pipe_of(pos, call(pos, NOTHING, [])));
                    Ok(())
                }
            },
        }
    }

    fn pipe(&mut self, pipe: &mut PipeNode) -> Result<(), String> {
        for (stage, command) in pipe.commands.iter_mut().enumerate() {
            if let [Expr::Identifier(_, name), Expr::String(_, query), ..] = &command.args[..]
                && name == "query"
            {
                self.uses.queries.push(query.to_string());
            }
            let constant = matches!(
                command.args.first(),
                Some(Expr::Number(..) | Expr::String(..) | Expr::Bool(..) | Expr::Nil(_) | Expr::Dot(_))
            );
            if stage > 0 && constant {
                return Err(format!("non executable command in pipeline stage {}", stage + 1));
            }
            for arg in &mut command.args {
                self.expr(arg)?;
            }
        }
        Ok(())
    }

    fn expr(&mut self, expr: &mut Expr) -> Result<(), String> {
        match expr {
            Expr::Dot(_) | Expr::String(..) | Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) => Ok(()),
            Expr::Identifier(_, name) => {
                self.uses.bound |= BOUND.contains(&name.as_str());
                if functions::is_known(name) {
                    Ok(())
                } else {
                    Err(format!("function {name:?} is not defined"))
                }
            }
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Field(pos, fields) => {
                if let [labels, label] = &fields[..]
                    && labels == "Labels"
                {
                    self.uses.labels.insert(label.to_string());
                }
                *expr = follow(*pos, Expr::Dot(*pos), fields);
                Ok(())
            }
            Expr::Variable(pos, name, fields) => {
                if !self.variables.contains(name) {
                    return Err(format!("undefined variable {name:?}"));
                }
                if let [label] = &fields[..]
                    && name == "$labels"
                {
                    self.uses.labels.insert(label.to_string());
                }
                if !fields.is_empty() {
                    *expr = follow(*pos, Expr::Variable(*pos, name.clone(), Vec::new()), fields);
                }
                Ok(())
            }
            Expr::Chain(pos, inner, fields) => {
                self.expr(inner)?;
                if calls(inner, "toTime") {
                    return Err("methods of the time that toTime gives are not supported".to_owned());
                }
                *expr = follow(*pos, (**inner).clone(), fields);
                Ok(())
            }
        }
    }
}

/// `base.a.b` as a call.
fn follow(pos: Pos, base: Expr, fields: &[SmolStr]) -> Expr {
    let names = fields.iter().map(|name| Expr::String(pos, name.as_str().into()));
    let command = call(pos, FIELD, std::iter::once(base).chain(names));
    Expr::Pipe(pos, pipe_of(pos, command))
}

fn pipe_of(pos: Pos, command: CommandNode) -> PipeNode {
    PipeNode {
        pos,
        decl: Vec::new(),
        commands: vec![command],
        is_assign: false,
    }
}

/// Whether the last step of an expression in parentheses calls a function.
fn calls(expr: &Expr, function: &str) -> bool {
    let Expr::Pipe(_, pipe) = expr else { return false };
    let last = pipe.commands.last().and_then(|command| command.args.first());
    matches!(last, Some(Expr::Identifier(_, name)) if name == function)
}

fn call(pos: Pos, function: &str, args: impl IntoIterator<Item = Expr>) -> CommandNode {
    let name = Expr::Identifier(pos, SmolStr::new(function));
    CommandNode {
        pos,
        args: std::iter::once(name).chain(args).collect(),
    }
}
