//! Tables as kubectl prints them: upper-case headers, three spaces, no borders. Must not decide
//! what is shown, only how.

use super::Page;
use super::color::Style;
use super::text;

/// Between two columns.
const GAP: &str = "   ";

/// One column: its header, whether only `-o wide` shows it, and its least width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub title: &'static str,
    pub wide: bool,
    pub at_least: usize,
}

impl Column {
    /// The same column, no narrower than `width`: for tables that come in parts.
    pub(crate) const fn at_least(self, width: usize) -> Self {
        Self {
            at_least: width,
            ..self
        }
    }
}

/// A column that is always shown.
pub(crate) const fn column(title: &'static str) -> Column {
    Column {
        title,
        wide: false,
        at_least: 0,
    }
}

/// A column for `-o wide`.
pub(crate) const fn wide(title: &'static str) -> Column {
    Column {
        title,
        wide: true,
        at_least: 0,
    }
}

/// Rows below headers; every row has a cell for every column.
pub(crate) struct Table<'a> {
    columns: &'a [Column],
    rows: Vec<Vec<String>>,
}

impl<'a> Table<'a> {
    /// A table without rows.
    pub(crate) const fn new(columns: &'a [Column]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row; an empty cell shows as `<none>`.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| {
            let cell = text::clean(&cell);
            if cell.is_empty() {
                "<none>".to_owned()
            } else {
                cell
            }
        });
        self.rows.push(cells.collect());
    }

    /// The table as text, each line with its newline; nothing at all without rows.
    pub(crate) fn render(&self, page: &Page) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|i| self.width(i, page))
            .collect();
        let mut out = String::new();
        if page.headers {
            let titles: Vec<String> = self.columns.iter().map(|c| c.title.to_owned()).collect();
            out.push_str(&self.line(&titles, &widths, page));
        }
        for row in &self.rows {
            out.push_str(&self.line(row, &widths, page));
        }
        out
    }

    fn width(&self, index: usize, page: &Page) -> usize {
        let column = self.columns.get(index);
        let title = column.filter(|_| page.headers).map(|column| column.title);
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        cells
            .map(String::as_str)
            .chain(title)
            .map(text::width)
            .chain(column.map(|column| column.at_least))
            .max()
            .unwrap_or(0)
    }

    fn line(&self, cells: &[String], widths: &[usize], page: &Page) -> String {
        let shown = self.columns.iter().zip(cells).zip(widths);
        let shown: Vec<(&String, &usize)> = shown
            .filter(|((column, _), _)| page.wide || !column.wide)
            .map(|((_, cell), width)| (cell, width))
            .collect();
        let last = shown.len().saturating_sub(1);
        let mut line = String::new();
        for (i, (cell, width)) in shown.into_iter().enumerate() {
            line.push_str(&page.paint.apply(Style::of_word(cell), cell));
            if i < last {
                line.push_str(&" ".repeat(width.saturating_sub(text::width(cell))));
                line.push_str(GAP);
            }
        }
        line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::super::color::Paint;
    use super::*;

    fn page(wide: bool, headers: bool) -> Page {
        Page {
            now: jiff::Timestamp::UNIX_EPOCH,
            width: 100,
            paint: Paint::NONE,
            wide,
            headers,
        }
    }

    fn table() -> Table<'static> {
        const COLUMNS: [Column; 3] = [column("NAME"), wide("MORE"), column("AGE")];
        let mut table = Table::new(&COLUMNS);
        table.row(["漢字".into(), "m".into(), "5s".into()]);
        table.row(["longer-name".into(), String::new(), "5d2h".into()]);
        table
    }

    #[test]
    fn aligns_by_width_on_the_terminal() {
        let expected = "NAME          AGE\n漢字          5s\nlonger-name   5d2h\n";
        assert_eq!(table().render(&page(false, true)), expected);
    }

    #[test]
    fn wide_shows_every_column_and_none_for_an_empty_cell() {
        let text = table().render(&page(true, false));
        assert_eq!(
            text,
            "漢字          m        5s\nlonger-name   <none>   5d2h\n"
        );
    }

    #[test]
    fn a_cell_cannot_command_the_terminal() {
        const COLUMNS: [Column; 1] = [column("NAME")];
        let mut table = Table::new(&COLUMNS);
        table.row(["\u{1b}[2Jx\ny".into()]);
        assert_eq!(table.render(&page(false, false)), "[2Jx y\n");
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(Table::new(&[]).render(&page(false, true)), "");
    }
}
