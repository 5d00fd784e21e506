//! Labeled sections laid out in a gutter, and how they shrink to a screen. Must never leave
//! something out silently: what does not fit is counted.

use super::super::color::Style;
use super::super::{Page, text};

/// Columns of the gutter that holds the section titles.
const GUTTER: usize = 15;
/// Between an item's label and its text.
const LABEL_GAP: &str = "  ";

/// One entry of a section.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    label: String,
    text: String,
    faint: bool,
}

impl Item {
    /// Text alone.
    pub(crate) fn plain(text: &str) -> Self {
        Self::labeled(String::new(), text)
    }

    /// Text behind a label such as an evidence id or a time.
    pub(crate) fn labeled(label: String, text: &str) -> Self {
        Self {
            label: text::clean(&label),
            text: text.to_owned(),
            faint: false,
        }
    }

    /// The same text, less prominent.
    #[must_use]
    pub(crate) fn faint(mut self) -> Self {
        self.faint = true;
        self
    }
}

/// A title with its items.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    title: &'static str,
    items: Vec<Item>,
    /// How many items were left out to fit the screen.
    hidden: usize,
    /// No blank line above.
    joined: bool,
    /// Keeps its blank line whatever the room.
    stays_apart: bool,
    /// Items that stay whatever the room.
    keeps: usize,
    shrinks_first: bool,
}

impl Section {
    /// A section; one without items is not shown.
    pub(crate) fn new(title: &'static str, items: impl IntoIterator<Item = Item>) -> Self {
        Self {
            title,
            items: items.into_iter().collect(),
            hidden: 0,
            joined: false,
            stays_apart: false,
            keeps: 1,
            shrinks_first: false,
        }
    }

    /// Follows the section above without a blank line.
    #[must_use]
    pub(crate) fn joined(mut self) -> Self {
        self.joined = true;
        self
    }

    /// Keeps its blank line whatever the room.
    #[must_use]
    pub(crate) fn stays_apart(mut self) -> Self {
        self.stays_apart = true;
        self
    }

    /// Gives up its items before others do.
    #[must_use]
    pub(crate) fn shrinks_first(mut self) -> Self {
        self.shrinks_first = true;
        self
    }

    /// Keeps at least `items` whatever the room.
    #[must_use]
    pub(crate) fn keeps(mut self, items: usize) -> Self {
        self.keeps = items;
        self
    }

    fn shown(&self) -> &[Item] {
        let end = self.items.len().saturating_sub(self.hidden);
        self.items.get(..end).unwrap_or_default()
    }

    fn can_shrink(&self) -> bool {
        self.shown().len() > self.keeps
    }

    /// Its lines without the title, each with its item's style.
    fn body(&self, more: Option<&str>, page: &Page) -> Vec<(bool, String)> {
        let room = page.width.saturating_sub(GUTTER);
        let label_width = self
            .shown()
            .iter()
            .map(|item| text::width(&item.label))
            .max();
        let mut lines: Vec<(bool, String)> = Vec::new();
        for item in self.shown() {
            let laid_out = lay_out(item, label_width.unwrap_or(0), room);
            lines.extend(laid_out.into_iter().map(|line| (item.faint, line)));
        }
        if self.hidden > 0 {
            let how = more.map(|more| format!(": {more}")).unwrap_or_default();
            lines.push((true, format!("… {} more{how}", self.hidden)));
        }
        lines
    }

    fn height(&self, page: &Page) -> usize {
        if self.items.is_empty() {
            return 0;
        }
        self.body(None, page).len() + usize::from(!self.joined)
    }
}

/// Labels are aligned to the right, text wraps beside them.
fn lay_out(item: &Item, label_width: usize, room: usize) -> Vec<String> {
    if label_width == 0 {
        return text::wrap(&item.text, room);
    }
    let hanging = label_width + LABEL_GAP.len();
    let lines = text::wrap(&item.text, room.saturating_sub(hanging));
    let padding = " ".repeat(label_width.saturating_sub(text::width(&item.label)));
    lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| match index {
            0 => format!("{padding}{}{LABEL_GAP}{line}", item.label),
            _ => format!("{}{line}", " ".repeat(hanging)),
        })
        .collect()
}

/// Makes the sections fit into `lines`, as far as that goes.
///
/// Blank lines go first, facts last: those of sections that shrink first go down to their minimum,
/// then always those of the tallest.
pub(crate) fn fit(sections: &mut [Section], lines: usize, page: &Page) {
    let height = |sections: &[Section]| sections.iter().map(|s| s.height(page)).sum::<usize>();
    for index in 0..sections.len() {
        if height(sections) <= lines {
            return;
        }
        if let Some(section) = sections.get_mut(index).filter(|s| !s.stays_apart) {
            section.joined = true;
        }
    }
    while height(sections) > lines {
        let tallest = sections
            .iter_mut()
            .filter(|section| section.can_shrink())
            .max_by_key(|section| (section.shrinks_first, section.height(page)));
        match tallest {
            Some(section) => section.hidden += 1,
            None => return,
        }
    }
}

/// The sections as text; `more` says how to see what was left out.
pub(crate) fn render(sections: &[Section], more: Option<&str>, page: &Page) -> String {
    let mut out = String::new();
    for section in sections.iter().filter(|section| !section.items.is_empty()) {
        if !section.joined {
            out.push('\n');
        }
        for (index, (faint, line)) in section.body(more, page).into_iter().enumerate() {
            let title = if index == 0 { section.title } else { "" };
            let style = if faint { Style::Faint } else { Style::Plain };
            let gutter = page.paint.apply(Style::Strong, title);
            let gutter = format!("{gutter}{}", " ".repeat(GUTTER.saturating_sub(title.len())));
            let line = format!("{gutter}{}", page.paint.apply(style, &line));
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::color::Paint;
    use super::*;

    fn page() -> Page {
        Page {
            now: jiff::Timestamp::UNIX_EPOCH,
            width: 60,
            paint: Paint::NONE,
            wide: false,
            headers: true,
        }
    }

    fn items(count: usize) -> Vec<Item> {
        (1..=count)
            .map(|n| Item::labeled(format!("e{n}"), &format!("fact {n}")))
            .collect()
    }

    #[test]
    fn gives_up_blank_lines_before_facts() {
        let mut sections = [
            Section::new("Chain", items(3)),
            Section::new("Evidence", items(3)),
            Section::new("By a model", items(1)).stays_apart(),
        ];
        fit(&mut sections, 8, &page());
        let text = render(&sections, None, &page());
        assert!(!text.contains("more"), "{text}");
        assert!(text.ends_with("\n\nBy a model     e1  fact 1\n"), "{text}");
        assert_eq!(text.lines().count(), 8, "{text}");
    }

    #[test]
    fn counts_what_does_not_fit_and_says_how_to_see_it() {
        let mut sections = [
            Section::new("Why", [Item::plain("because")]),
            Section::new("Evidence", items(20)),
        ];
        fit(&mut sections, 8, &page());
        let text = render(&sections, Some("`inquest incident show x`"), &page());
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(
            text.ends_with("… 14 more: `inquest incident show x`\n"),
            "{text}"
        );
    }

    #[test]
    fn keeps_one_item_of_each_section_however_small_the_screen() {
        let mut sections = [Section::new("A", items(3)), Section::new("B", items(9))];
        fit(&mut sections, 0, &page());
        let text = render(&sections, None, &page());
        assert!(
            text.contains("… 2 more") && text.contains("… 8 more"),
            "{text}"
        );
    }

    #[test]
    fn wraps_beside_the_labels() {
        let long = "word ".repeat(15);
        let section = Section::new("Chain", [Item::labeled("+1 ms".into(), &long)]);
        let text = render(&[section], None, &page());
        let second = text.lines().nth(2).unwrap();
        assert!(second.starts_with(&" ".repeat(GUTTER + 7)), "{text}");
    }

    #[test]
    fn an_empty_section_is_not_shown() {
        assert_eq!(render(&[Section::new("Impact", [])], None, &page()), "");
    }
}
