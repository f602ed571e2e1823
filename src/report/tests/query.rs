//! Filters, orders and links.

use super::super::query::Sort;
use super::*;

#[test]
fn filters_and_orders_select_what_they_say() {
    let instances = three();
    for (query, sort, expected) in [
        ("", None, "rm-a rm-b rm-c"),
        ("", Some(Sort::State), "rm-b rm-a rm-c"),
        ("sort=name", None, "rm-b rm-c rm-a"),
        ("sort=age", None, "rm-b rm-a rm-c"),
        ("sort=state", None, "rm-b rm-a rm-c"),
        ("sort=name", Some(Sort::State), "rm-b rm-c rm-a"),
        ("state=broken", None, "rm-a rm-b"),
        ("state=ok", None, "rm-c"),
        ("state=gone", None, ""),
        ("q=zeb", None, "rm-a"),
        ("q=RM-B", None, "rm-b"),
        ("q=MySQL+shanghai", None, "rm-a rm-b rm-c"),
        ("q=mysql%20bee", None, "rm-c"),
        ("q=hangzhou&state=ok", None, "rm-c"),
        ("q=prod&sort=name&state=broken", None, "rm-b rm-a"),
        ("q=alibaba+nothing", None, ""),
        ("q=%3Cb%3E", None, ""),
        ("q=+++", None, "rm-a rm-b rm-c"),
        ("instance=rm-b", None, "rm-b"),
        ("instance=rm", None, ""),
        ("unknown=1&q=", None, "rm-a rm-b rm-c"),
    ] {
        let query = Query::parse(query);
        assert_eq!(query.problems, Vec::<String>::new());
        let selected = query.select(&instances, sort);
        let ids: Vec<_> = selected
            .iter()
            .map(|one| &*one.facts.target.key.instance_id)
            .collect();
        assert_eq!(ids.join(" "), expected, "{query:?}");
    }
}

#[test]
fn what_a_query_says_wrongly_is_noted_and_left_out() {
    let states = "gone, broken, failing, unprotected, warning, waiting, ok";
    for (query, problem) in [
        (
            "state=red",
            format!("state is \"red\", and has to be one of {states}"),
        ),
        (
            "sort=size",
            "sort is \"size\", and has to be one of state, age, name".to_owned(),
        ),
        (
            "page=0",
            "page is \"0\", which is no number of a page".to_owned(),
        ),
        (
            "page=x",
            "page is \"x\", which is no number of a page".to_owned(),
        ),
        (
            "sets=yes",
            "sets is \"yes\", and has to be one of true, false".to_owned(),
        ),
    ] {
        let parsed = Query::parse(query);
        assert_eq!(parsed.problems, [problem], "{query}");
        let without = Query {
            problems: Vec::new(),
            ..parsed
        };
        assert_eq!(without, Query::default(), "{query}");
    }
    let long = Query::parse(&format!("q={}", "é".repeat(300)));
    assert_eq!((long.filter.chars().count(), long.problems.len()), (200, 1));
}

#[test]
fn a_link_leads_to_what_it_was_made_of() {
    for text in [
        "?",
        "?q=a+b%26c%3C&state=broken&sort=age&page=2",
        "?instance=rm-%2B1",
    ] {
        assert_eq!(Query::parse(&text[1..]).link(), text);
    }
    assert_eq!(Query::parse("page=1&sets=true&x=y").link(), "?");
    // Also where a filter is cut off between two words.
    let cut = Query::parse(&format!("q={}+b", "a".repeat(199)));
    assert_eq!(Query::parse(&cut.link()[1..]).filter, cut.filter);
}
