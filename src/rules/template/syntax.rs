//! Template text → a tree that is checked as Go checks it, and adjusted so that it prints what Go prints.
//!
//! gotmpl parses more than Go does and prints floats and missing labels in its own way. So the block structure, the
//! variables and the functions are checked here, each `{{ … }}` gets a last step that prints as Go does, and each
//! `.Name` becomes a call that gives the empty text for a label that is missing.

use std::collections::BTreeSet;

use gotmpl::parse::{CommandNode, DefineNode, Expr, ListNode, Node, Parser, PipeNode, Pos, SmolStr};

use super::functions::{self, BOUND, FIELD, NOTHING, PRINT};
use super::words;

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
    let mut named = BTreeSet::new();
    for define in defines.iter().filter(|define| !is_blank(&define.body)) {
        if !named.insert(define.name.to_string()) {
            return Err(format!("multiple definition of template {:?}", define.name));
        }
    }
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

/// Whether a template prints nothing but space: Go lets another of its name replace it.
fn is_blank(body: &ListNode) -> bool {
    let blank = |node: &Node| matches!(node, Node::Text(text) if text.text.trim().is_empty());
    body.nodes.iter().all(blank)
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
enum Block<'a> {
    /// `if` or `with`, which may have several `else`.
    Branch {
        word: &'a str,
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
    let actions = words::actions(text)?;
    let mut open: Vec<Block<'_>> = Vec::new();
    for action in &actions {
        let mut words = action
            .split(|c: char| c.is_whitespace() || c == '(')
            .filter(|word| !word.is_empty());
        match words.next().unwrap_or("") {
            word @ ("if" | "with") => open.push(Block::Branch {
                word,
                over: false,
                chained: 0,
            }),
            "range" => open.push(Block::Range { over: false }),
            "define" if !open.is_empty() => {
                return Err("unexpected {{define}} inside another block".to_owned());
            }
            "block" if words.nth(1).is_none() => return Err("missing value for block clause".to_owned()),
            "define" | "block" => open.push(Block::Define),
            "else" => {
                let next = words.next().filter(|next| matches!(*next, "if" | "with"));
                match open.last_mut() {
                    Some(Block::Branch {
                        over: false,
                        chained,
                        word,
                    }) if next == Some(*word) => {
                        *chained += 1;
                        if *chained > MAX_CHAIN {
                            return Err(format!("more than {MAX_CHAIN} {{{{else if}}}} in a row"));
                        }
                    }
                    Some(Block::Branch { over, .. } | Block::Range { over }) if !*over && next.is_none() => {
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
            // What follows a range's {{else}} is outside of it.
            word @ ("break" | "continue") if !open.contains(&Block::Range { over: false }) => {
                return Err(format!("{{{{{word}}}}} outside {{{{range}}}}"));
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
        let unknown = |name: &&SmolStr| !self.variables.contains(*name);
        if pipe.is_assign
            && let Some(name) = pipe.decl.iter().find(unknown)
        {
            return Err(format!("undefined variable {name:?}"));
        }
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
