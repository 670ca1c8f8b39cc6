//! Matrices, and sums and multiples of them written out.

use super::tree::Node;

/// Cells of a matrix that is written out.
const MAX_CELLS: usize = 400;

/// Whether a node is a matrix, or a sum, multiple or product of some.
pub(crate) fn is_matrix(node: &Node) -> bool {
    match node {
        Node::Matrix(_) => true,
        Node::Negative(inner) => is_matrix(inner),
        Node::Sum(terms) => terms.iter().all(is_matrix),
        Node::Product(factors) => {
            factors.iter().any(is_matrix) && factors.iter().all(|factor| factor.is_scalar() || is_matrix(factor))
        }
        Node::Quotient(top, bottom) => is_matrix(top) && bottom.is_scalar(),
        _ => false,
    }
}

/// Steps that writing a matrix out takes, at most: its nodes, once for each cell.
pub(crate) fn cost(node: &Node) -> u32 {
    fn nodes(node: &Node) -> usize {
        1 + node.children().into_iter().map(nodes).sum::<usize>()
    }
    fn matrices(node: &Node) -> usize {
        usize::from(matches!(node, Node::Matrix(_))) + node.children().into_iter().map(matrices).sum::<usize>()
    }
    let nodes = nodes(node);
    let depth = u32::try_from(matrices(node)).unwrap_or(u32::MAX);
    let cost = nodes.saturating_mul(nodes).saturating_mul(if depth > 2 { nodes } else { 1 });
    if depth <= 1 { 0 } else { u32::try_from(cost / 4).unwrap_or(u32::MAX) }
}

/// The cells of a matrix, with sums, multiples and products carried into them. `None` where shapes do not fit.
pub(crate) fn fold(node: &Node) -> Option<Vec<Vec<Node>>> {
    match node {
        Node::Matrix(rows) => Some(rows.clone()),
        Node::Negative(inner) => Some(each(fold(inner)?, |cell| Node::Negative(Box::new(cell)))),
        Node::Quotient(top, bottom) => Some(each(fold(top)?, |cell| Node::Quotient(Box::new(cell), bottom.clone()))),
        Node::Sum(terms) => {
            let mut total: Option<Vec<Vec<Node>>> = None;
            for term in terms {
                let rows = fold(term)?;
                total = Some(match total {
                    None => rows,
                    Some(total) => plus(total, rows)?,
                });
            }
            total
        }
        Node::Product(factors) => {
            let mut scale = Vec::new();
            let mut total: Option<Vec<Vec<Node>>> = None;
            for factor in factors {
                if !is_matrix(factor) {
                    scale.push(factor.clone());
                    continue;
                }
                let rows = fold(factor)?;
                total = Some(match total {
                    None => rows,
                    Some(total) => times(&total, &rows)?,
                });
            }
            let total = total?;
            Some(if scale.is_empty() {
                total
            } else {
                each(total, |cell| {
                    let mut factors = scale.clone();
                    factors.push(cell);
                    Node::Product(factors)
                })
            })
        }
        _ => None,
    }
}

fn each(rows: Vec<Vec<Node>>, change: impl Fn(Node) -> Node) -> Vec<Vec<Node>> {
    rows.into_iter().map(|row| row.into_iter().map(&change).collect()).collect()
}

fn plus(a: Vec<Vec<Node>>, b: Vec<Vec<Node>>) -> Option<Vec<Vec<Node>>> {
    if a.len() != b.len() || a.iter().zip(&b).any(|(x, y)| x.len() != y.len()) {
        return None;
    }
    let sum = |(x, y): (Vec<Node>, Vec<Node>)| x.into_iter().zip(y).map(|(x, y)| Node::Sum(vec![x, y])).collect();
    Some(a.into_iter().zip(b).map(sum).collect())
}

fn times(a: &[Vec<Node>], b: &[Vec<Node>]) -> Option<Vec<Vec<Node>>> {
    let inner = b.len();
    let columns = b.first().map_or(0, Vec::len);
    if a.iter().any(|row| row.len() != inner) || a.len() * columns > MAX_CELLS || inner > 20 {
        return None;
    }
    let cell = |row: &[Node], column: usize| {
        Node::Sum(row.iter().zip(b).map(|(x, other)| Node::Product(vec![x.clone(), other[column].clone()])).collect())
    };
    Some(a.iter().map(|row| (0..columns).map(|column| cell(row, column)).collect()).collect())
}
