//! Lines with places to fill: `⟦name⟧` in the text of the document.

pub struct Line {
    /// A text, and the place after it; the last has none.
    parts: Vec<(String, Option<String>)>,
}

impl Line {
    pub fn parse(text: &str) -> Line {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('⟦') {
            let Some((name, following)) = after.split_once('⟧') else { break };
            parts.push((before.to_owned(), Some(name.to_owned())));
            rest = following;
        }
        parts.push((rest.to_owned(), None));
        Line { parts }
    }

    pub fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let mut found = String::with_capacity(2048);
        for (text, place) in &self.parts {
            found.push_str(text);
            if let Some(place) = place {
                found.push_str(&value(place));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        assert_eq!(Line::parse("a⟦x⟧b⟦y y⟧").fill(|place| format!("<{place}>")), "a<x>b<y y>");
    }
}
