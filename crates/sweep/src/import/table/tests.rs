mod published;

use std::fs;

use super::*;

const HEADER: &str = "run_id,params,tokens,flops,loss\n";

/// Reads a table with this content from a file with this extension.
fn read_as(extension: &str, content: &str, options: &TableOptions) -> Result<Table, TableError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(format!("runs.{extension}"));
    fs::write(&path, content).expect("written");
    read_table(&path, options)
}

fn read(rows: &str) -> Result<Table, TableError> {
    read_as("csv", &format!("{HEADER}{rows}"), &TableOptions::default())
}

fn refusal(content: &str, options: &TableOptions) -> String {
    read_as("csv", content, options).expect_err("refused").to_string()
}

fn filtered(text: &str) -> TableOptions {
    TableOptions { filter: Some(text.to_owned()), ..TableOptions::default() }
}

fn mapped(entry: &str) -> TableOptions {
    TableOptions { map: vec![entry.to_owned()], ..TableOptions::default() }
}

fn ruled(rule: FlopsRule) -> TableOptions {
    TableOptions { rule: Some(rule), ..TableOptions::default() }
}

fn near(one: f64, other: f64) -> bool {
    (one / other - 1.0).abs() < 1e-12
}

#[test]
fn a_column_of_losses_below_zero_is_named_as_another_column_and_not_row_by_row() {
    let below = |losses: [f64; 4]| {
        let row = |(i, loss): (usize, f64)| format!("a{i},{},{},{loss}\n", 1e6 * (i + 1) as f64, 2e7 * (i + 1) as f64);
        let rows: String = losses.into_iter().enumerate().map(row).collect();
        refusal(&format!("run_id,params,tokens,loss\n{rows}"), &TableOptions::default())
    };
    let said = below([-4.0, -3.9, 3.8, -3.7]);
    assert!(said.contains("`loss` is 0 or below in 3 of 4 rows") && said.contains("take the negative"), "{said}");
    assert!(!said.contains("--where"), "{said}");
    // One row, or half of them, may be slips of their own.
    let said = below([4.0, -3.9, 3.8, -3.7]);
    assert!(said.contains("row 2: `loss` is `-3.9`") && said.contains("--where"), "{said}");
}

#[test]
fn the_absent_one_of_three_follows_from_6nd() {
    for content in [
        "params,tokens,loss\n100,2000,3.5\n",
        "params,flops,loss\n100,1.2e6,3.5\n",
        "tokens,flops,loss\n2000,1.2e6,3.5\n",
    ] {
        let table = read_as("csv", content, &TableOptions::default()).expect(content);
        let one = &table.observations[0];
        assert!(near(one.params, 100.0) && near(one.tokens, 2000.0) && near(one.flops, 1.2e6), "{one:?}");
        assert_eq!((one.run_id.as_str(), table.selection.flops_rule), ("row-1", FlopsRule::SixNd));
    }
}

#[test]
fn one_of_three_is_not_enough() {
    let error = refusal("n_params,tokens,flops,loss\n100,2000,1.2e6,3.5\n", &ruled(FlopsRule::Column));
    assert!(error.contains("no column `params`, and `--rule column` cannot work it out"), "{error}");
    let error = refusal("n_params,loss\n100,3.5\n", &TableOptions::default());
    assert!(error.contains("no column `params`, `tokens` or `flops`, and two of them are needed"), "{error}");
    assert!(error.contains("\n\nhint: --map params=n_params"), "{error}");
    for name in ["compute", "C", "train_flops"] {
        let error = refusal(&format!("{name},loss\n1e18,3.5\n"), &TableOptions::default());
        assert!(error.contains(&format!("\n\nhint: --map flops={name}")), "{error}");
    }
}

#[test]
fn a_table_of_compute_and_loss_alone_is_read_and_its_runs_tell_no_split() {
    for rule in [None, Some(FlopsRule::SixNd), Some(FlopsRule::Column)] {
        let options = TableOptions { rule, ..TableOptions::default() };
        let table = read_as("csv", "flops,loss,role\n1e18,3.5,\n1e19,3.1,\n1e20,2.9,target\n", &options).expect("read");
        assert!(table.observations.iter().all(|one| one.size_and_data().is_none()), "{:?}", table.observations);
        assert_eq!((table.observations[0].flops, table.observations[1].loss), (1e18, 3.1));
        assert_eq!((table.held_out[0].size_and_data, table.held_out[0].flops), (None, 1e20));
        assert_eq!(table.selection.flops_rule, rule.unwrap_or(FlopsRule::Column));
        assert_eq!(table.selection.params_rule, CountingRule::Column);
    }
    let told = read_as("csv", "flops,params,loss\n1e18,1e8,3.5\n", &TableOptions::default()).expect("read");
    assert!(told.observations[0].tells_split());
}

#[test]
fn a_column_that_looks_like_a_size_is_asked_for_before_compute_alone_is_read() {
    let near = refusal("flops,loss,n_tokens\n1e18,3.5,2e9\n", &TableOptions::default());
    assert!(near.contains("has `flops` and neither `params` nor `tokens`; one of the two is needed"), "{near}");
    assert!(near.ends_with("hint: --map tokens=n_tokens"), "{near}");
    let far = read_as("csv", "flops,loss,remark\n1e18,3.5,good\n", &TableOptions::default()).expect("read");
    assert!(!far.observations[0].tells_split());
    let size = refusal("params,loss\n1e6,3.5\n", &TableOptions::default());
    assert!(size.contains("has `params` and neither `tokens` nor `flops`; one of the two is needed"), "{size}");
}

#[test]
fn a_short_row_is_named_and_not_read_as_one_without_a_loss() {
    let error = read("a,100,2000,1.2e6,3.5\nb,100,2000,1.2e6\nc,100,2000,1.2e6,3.4\n").expect_err("short").to_string();
    assert!(error.contains("row 2 has 4 cells; the header has 5\n\nhint: fill the row in"), "{error}");
}

#[test]
fn a_number_with_a_letter_or_a_unit_is_told_how_it_is_written() {
    let content = "params,tokens,loss\n20M,2e9,3.5\n";
    let error = refusal(content, &TableOptions::default());
    assert!(error.contains("row 1: `params` is `20M`; a number is needed\n\nhint: write 2e7 for `20M`"), "{error}");
    let error = refusal("params,tokens,loss\n2e7,2e9 tokens,3.5\n", &TableOptions::default());
    assert!(error.contains("row 1: `tokens` is `2e9 tokens`") && error.contains("write 2e9 for"), "{error}");
}

#[test]
fn columns_that_do_not_follow_6nd_are_taken_as_they_are_and_said() {
    let table = read("a,100,2000,2e6,3.5\nb,200,2000,2.4e6,3.4\n").expect("read");
    assert_eq!(table.selection.flops_rule, FlopsRule::Column);
    assert!(near(table.observations[0].flops, 2e6));
    assert!(
        table.notes.iter().any(|note| note.starts_with("in 1 of 2 rows `flops` is not 6 × params × tokens")),
        "{:?}",
        table.notes
    );
}

#[test]
fn a_named_rule_that_the_table_does_not_follow_is_an_error() {
    let content = format!("{HEADER}a,100,2000,2e6,3.5\n");
    let error = refusal(&content, &ruled(FlopsRule::SixNd));
    assert!(error.contains("row 1: `flops` is 2.0000e6 and 6 × params × tokens is 1.2000e6: 1.67 times"), "{error}");
    assert!(read_as("csv", &content, &ruled(FlopsRule::Column)).is_ok());
}

#[test]
fn a_table_without_a_unit_says_what_was_assumed() {
    let table = read("a,100,2000,1.2e6,3.5\n").expect("read");
    assert_eq!(table.notes, ["`loss` is taken as nats per token, because no unit was named (--unit nats|bits|bpb)"]);
    let options = TableOptions { unit: Some(LossUnit::BitsPerByte), ..TableOptions::default() };
    let table = read_as("csv", &format!("{HEADER}a,100,2000,1.2e6,3.5\n"), &options).expect("read");
    assert!(table.notes.is_empty() && table.selection.unit == LossUnit::BitsPerByte);
}

#[test]
fn a_column_called_after_bits_per_byte_is_in_them_unless_a_unit_was_named() {
    for name in ["bpb", "BPB", "bits_per_byte"] {
        let content = format!("run_id,params,tokens,flops,{name}\na,100,2000,1.2e6,0.9\n");
        let asked = TableOptions { metric: Some(name.to_owned()), ..TableOptions::default() };
        let table = read_as("csv", &content, &asked).expect("read");
        let note = format!(
            "`{name}` is taken as bits per byte, by its name, because no unit was named (--unit nats|bits|bpb)"
        );
        assert_eq!((table.selection.unit, table.notes), (LossUnit::BitsPerByte, vec![note]));
        let named =
            read_as("csv", &content, &TableOptions { unit: Some(LossUnit::NatsPerToken), ..asked }).expect("read");
        assert!(named.notes.is_empty() && named.selection.unit == LossUnit::NatsPerToken);
    }
}

#[test]
fn a_loss_that_cannot_be_names_row_and_value() {
    for (value, shown) in
        [("NaN", "`NaN`"), ("-0.5", "`-0.5`"), ("0", "`0`"), ("inf", "`inf`"), ("3,5x", "`3"), ("oops", "`oops`")]
    {
        let error = read(&format!("a,100,2000,1.2e6,3.5\nb,100,2000,1.2e6,{value}\n")).expect_err(value).to_string();
        assert!(value.contains(',') || error.contains(&format!("row 2: `loss` is {shown}; a number")), "{error}");
        assert!(error.contains("\n\nhint: "), "{error}");
    }
}

#[test]
fn sizes_that_cannot_be_name_row_and_column() {
    for (row, column) in [("b,0,2000,1.2e6,3", "params"), ("b,100,-1,1.2e6,3", "tokens"), ("b,100,2000,,3", "flops")] {
        let error = read(&format!("a,100,2000,1.2e6,3.5\n{row}\n")).expect_err(row).to_string();
        assert!(error.contains(&format!("row 2: `{column}` is ")), "{error}");
    }
}

#[test]
fn an_empty_table_is_an_error() {
    for (content, words) in [("", "the file is empty"), (HEADER, "the table has no rows; at least one is needed")] {
        let error = refusal(content, &TableOptions::default());
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_missing_loss_names_the_nearest_column() {
    let error = refusal("params,tokens,val_loss\n100,2000,3.5\n", &TableOptions::default());
    assert!(error.contains("no column `loss`\n\nhint: --map loss=val_loss, or --metric val_loss"), "{error}");
    let options = TableOptions { metric: Some("val_los".to_owned()), ..TableOptions::default() };
    let error = refusal("params,tokens,val_loss\n100,2000,3.5\n", &options);
    assert!(
        error.contains("`--metric` names it, and the table has no column `val_los`; did you mean `val_loss`?"),
        "{error}"
    );
}

#[test]
fn a_map_renames_and_a_wrong_one_is_told_so() {
    let content = "n_nonemb,data,loss\n100,2000,3.5\n";
    let table = read_as("csv", content, &mapped("params=n_nonemb,tokens=data")).expect("read");
    assert!(near(table.observations[0].params, 100.0));
    assert!(refusal(content, &mapped("parms=n_nonemb")).contains("no column of ours; did you mean `params`?"));
    assert!(refusal(content, &mapped("params=nonemb")).contains("did you mean `n_nonemb`?"));
    assert!(refusal(content, &mapped("params")).contains("`--map` has `params`, which has no `=`"));
}

#[test]
fn the_noise_of_the_seed_is_read_under_its_own_name_or_another() {
    let content = "params,tokens,loss,seed_sd,spread\n100,2000,3.5,0.02,0.03\n100,4000,3.4,,0.01\n";
    let noise = |options: &TableOptions| -> Vec<Option<f64>> {
        let table = read_as("csv", content, options).expect("read");
        table.observations.iter().map(|one| one.seed_sd).collect()
    };
    assert_eq!(noise(&TableOptions::default()), [Some(0.02), None]);
    assert_eq!(noise(&mapped("seed_sd=spread")), [Some(0.03), Some(0.01)]);
    let error = refusal("params,tokens,loss,seed_sd\n100,2000,3.5,-0.1\n", &TableOptions::default());
    assert!(error.contains("row 1: `seed_sd` is `-0.1`; 0 or more is needed"), "{error}");
}

#[test]
fn the_degrees_of_the_noise_are_read_under_their_own_name_or_another() {
    let content = "params,tokens,loss,seed_sd,seed_degrees,df\n100,2000,3.5,0.02,0,2\n100,4000,3.4,0.02,,1\n";
    let degrees = |options: &TableOptions| -> Vec<Option<f64>> {
        let table = read_as("csv", content, options).expect("read");
        table.observations.iter().map(|one| one.seed_degrees).collect()
    };
    assert_eq!(degrees(&TableOptions::default()), [Some(0.0), None]);
    assert_eq!(degrees(&mapped("seed_degrees=df")), [Some(2.0), Some(1.0)]);
    let error = refusal("params,tokens,loss,seed_degrees\n100,2000,3.5,-1\n", &TableOptions::default());
    assert!(error.contains("row 1: `seed_degrees` is `-1`; 0 or more is needed"), "{error}");
}

#[test]
fn an_empty_loss_is_an_exclusion_and_not_an_error() {
    let table = read("a,100,2000,1.2e6,\nb,100,2000,1.2e6,3.5\n").expect("read");
    assert_eq!(table.exclusions, [Exclusion { run_id: "a".to_owned(), reason: ExclusionReason::MissingMetric }]);
}

#[test]
fn every_row_left_out_has_its_reason() {
    let content = "run_id,params,tokens,loss,status,is_final,unique_tokens,set\n\
                   a,100,2000,11,diverged,1,,x\nb,100,2000,3.5,stopped,true,2000,x\nc,100,2000,3.5,finished,0,2000,x\n\
                   d,100,2000,3.5,,,1000,x\ne,100,2000,nonsense,,,,y\nf,100,2000,3.5,finished,True,2000,x\n";
    let table = read_as("csv", content, &filtered("set == x")).expect("read");
    let reasons: Vec<_> = table.exclusions.iter().map(|one| (one.run_id.as_str(), one.reason)).collect();
    use ExclusionReason as Why;
    assert_eq!(
        reasons,
        [
            ("a", Why::Diverged),
            ("b", Why::Stopped),
            ("c", Why::NotFinal),
            ("d", Why::RepeatedTokens),
            ("e", Why::Filtered)
        ]
    );
    assert_eq!(table.observations.len(), 1);
}

#[test]
fn words_that_are_no_status_are_refused() {
    let content = "params,tokens,loss,status\n100,2000,3.5,crashed\n";
    assert!(refusal(content, &TableOptions::default()).contains("row 1: `status` is `crashed`; `finished`"));
    assert!(
        refusal(content, &TableOptions::default()).contains("--where 'status != \"crashed\"', or write `finished`")
    );
}

#[test]
fn two_rows_of_one_run_are_refused_unless_they_are_in_groups_of_their_own() {
    let error = read("a,100,2000,1.2e6,3.5\na,100,2000,1.2e6,3.4\n").expect_err("twice").to_string();
    assert!(error.contains("row 2 is run `a` again"), "{error}");
    let content = "run_id,params,tokens,loss,group\na,100,2000,3.5,c4\na,100,2000,3.4,pile\n";
    assert_eq!(read_as("csv", content, &TableOptions::default()).expect("read").observations.len(), 2);
    let pooled = TableOptions { pool: true, ..TableOptions::default() };
    assert!(refusal(content, &pooled).contains("row 2 is run `a` again"));
}

#[test]
fn checkpoints_that_carry_the_name_of_their_run_are_left_out_and_the_last_is_the_run() {
    // A newcomer's table was refused as naming a run twice, though `is_final` says which row it is.
    let content =
        "run_id,params,tokens,loss,is_final\na,100,1000,3.9,false\na,100,2000,3.5,true\nb,200,2000,3.3,true\n";
    let table = read_as("csv", content, &TableOptions::default()).expect("read");
    assert_eq!(table.observations.iter().map(|one| one.loss).collect::<Vec<_>>(), [3.5, 3.3]);
    assert_eq!(table.exclusions, [Exclusion { run_id: "a".to_owned(), reason: ExclusionReason::NotFinal }]);
    assert!(refusal(&content.replace("false", "true"), &TableOptions::default()).contains("row 2 is run `a` again"));
}

#[test]
fn filters_compare_numbers_as_numbers_and_words_as_words() {
    let content = "params,tokens,loss,lr,size,ok\n9,2000,3.5,1e-2,7m,true\n10,2000,3.4,0.02,70m and more,false\n100,2000,3.3,,7m,true\n";
    let kept = |text: &str| {
        let table = read_as("csv", content, &filtered(text)).expect(text);
        table.observations.iter().map(|one| one.params as u64).collect::<Vec<_>>()
    };
    assert_eq!(kept("params >= 10"), [10, 100]);
    assert_eq!(kept("params<100 and lr == 0.010"), [9]);
    assert_eq!(kept("lr > 0.01"), [10], "an empty cell is not above anything");
    assert_eq!(kept("lr != 0.01"), [10, 100]);
    assert_eq!(kept("size == '70m and more'"), [10]);
    assert_eq!(kept("size == \"7m\" AND ok == true"), [9, 100]);
}

#[test]
fn a_filter_that_says_nothing_is_refused_with_the_syntax() {
    let content = format!("{HEADER}a,100,2000,1.2e6,3.5\n");
    assert!(refusal(&content, &filtered("loss = 3")).contains("`loss = 3`, which compares nothing"));
    assert!(refusal(&content, &filtered("loss <")).contains("a column and a literal are needed"));
    assert!(refusal(&content, &filtered("los < 4")).contains("did you mean `loss`?"));
    assert!(refusal(&content, &filtered("loss > 4")).contains("no row is left of 1"));
}

#[test]
fn json_lines_and_parquet_read_like_csv() {
    let json = "{\"run_id\": 7, \"params\": 100, \"tokens\": 2000, \"loss\": 3.5, \"is_final\": true}\n\n\
                {\"params\": 200, \"tokens\": 2000, \"loss\": 3.4}\n";
    let table = read_as("jsonl", json, &TableOptions::default()).expect("read");
    assert_eq!(table.observations.iter().map(|one| one.run_id.as_str()).collect::<Vec<_>>(), ["7", "row-2"]);
    let cut = read_as("jsonl", "{\"params\": 100, \"tok", &TableOptions::default()).expect_err("cut").to_string();
    assert!(cut.contains("line 1 is not a JSON object"), "{cut}");
}

#[test]
fn our_own_records_read_as_a_table() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("records.parquet");
    let record = crate::records::tests::record("a", 2.5);
    crate::write_records(&path, std::slice::from_ref(&record)).expect("written");
    let options =
        TableOptions { map: vec!["params=params_matmul,flops=flops_exact".to_owned()], ..TableOptions::default() };
    let table = read_table(&path, &options).expect("read");
    assert!(near(table.observations[0].flops, record.flops.exact) && near(table.observations[0].loss, 2.5));
}

#[test]
fn an_unknown_kind_and_a_missing_file_are_errors() {
    assert!(
        read_as("txt", "", &TableOptions::default())
            .expect_err("kind")
            .to_string()
            .contains("use .csv (columns apart by commas), .parquet or .jsonl")
    );
    let error = read_table(Path::new("/nonexistent/runs.csv"), &TableOptions::default()).expect_err("missing");
    assert!(
        error.to_string().starts_with("`/nonexistent/runs.csv`: there is no such file or folder\n\nhint: "),
        "{error}"
    );
    let error = read_table(Path::new("/nonexistent/nope"), &TableOptions::default()).expect_err("missing");
    assert!(error.to_string().contains("there is no such file or folder"), "before its ending is judged: {error}");
}

#[test]
fn pooled_rows_have_no_group() {
    let content = "run_id,params,tokens,loss,group\na,100,2000,3.5,c4\nb,100,2000,3.4,pile\n";
    let groups = |pool: bool| {
        let table = read_as("csv", content, &TableOptions { pool, ..TableOptions::default() }).expect("read");
        table.observations.into_iter().filter_map(|one| one.group).collect::<Vec<_>>()
    };
    assert_eq!(groups(false), ["c4", "pile"]);
    assert!(groups(true).is_empty());
}

#[test]
fn a_column_of_numbers_is_compared_with_nothing_but_numbers_and_truths() {
    let content = "params,tokens,loss,dropped,word\n9,2000,3.5,0,a\n10,2000,2.5,1,3\n11,2000,,,b\n";
    let error = refusal(content, &filtered("loss < 3 or loss > 4"));
    assert!(error.contains("`loss` holds numbers, and `3 or loss > 4` is not one"), "{error}");
    assert!(error.contains("hint: compare it with a number; conditions are joined by `and` only"), "{error}");
    assert!(refusal(content, &filtered("loss < abc")).contains("and `abc` is not one"));
    let kept = |text: &str| {
        let table = read_as("csv", content, &filtered(text)).expect(text);
        table.observations.iter().map(|one| one.params as u64).collect::<Vec<_>>()
    };
    assert_eq!(kept("dropped == false"), [9]);
    assert_eq!(kept("dropped == True"), [10]);
    assert_eq!(kept("word != b"), [9, 10], "a column of words may hold a number");
}

#[test]
fn truths_are_truths_however_they_are_written() {
    let json = "{\"params\": 9, \"tokens\": 2000, \"loss\": 3.5, \"ok\": true}\n\
                {\"params\": 10, \"tokens\": 2000, \"loss\": 3.4, \"ok\": false}\n";
    let content = "params,tokens,loss,ok\n9,2000,3.5,True\n10,2000,3.4,False\n";
    for (kind, content) in [("jsonl", json), ("csv", content)] {
        for text in ["ok == true", "ok == 1", "ok != False"] {
            let table = read_as(kind, content, &filtered(text)).expect(text);
            assert_eq!(table.observations.len(), 1, "{kind} {text}");
            assert!(near(table.observations[0].params, 9.0), "{kind} {text}");
        }
    }
}

#[test]
fn notes_say_how_many_rows_were_left_out_and_why() {
    let last = |content: &str, options: &TableOptions| {
        read_as("csv", content, options).expect("read").notes.pop().expect("a note")
    };
    let content = "params,tokens,loss\n9,2000,\n10,2000,\n11,2000,3.5\n";
    assert_eq!(last(content, &TableOptions::default()), "2 rows left out: metric missing");
    let noted = last(content, &filtered("params > 9"));
    assert_eq!(noted, "2 rows left out: left out by a filter 1, metric missing 1");
}

#[test]
fn roles_are_read_and_targets_are_held_out() {
    let content = "run_id,params,tokens,loss,kind\na,9,2000,3.5,path\nb,10,2000,3.4,off_path\nc,11,2000,3.3,\n\
                   d,99,2000,,target\n";
    let table = read_as("csv", content, &mapped("role=kind")).expect("read");
    let roles: Vec<_> = table.observations.iter().map(|one| one.role).collect();
    assert_eq!(roles, [Some(Role::Path), Some(Role::OffPath), None]);
    assert_eq!(table.exclusions, [Exclusion { run_id: "d".to_owned(), reason: ExclusionReason::HeldOut }]);
    let error = refusal(&content.replace("kind", "role").replace("off_path", "aside"), &TableOptions::default());
    assert!(error.contains("row 2: `role` is `aside`; `path`, `off_path` or `target` is needed"), "{error}");
}

#[test]
fn a_column_in_use_is_never_offered_for_another() {
    let error = refusal("params,loss\n9,3.5\n", &ruled(FlopsRule::SixNd));
    assert!(error.contains("hint: add a column `tokens` or `flops`, one of the two is enough"), "{error}");
    let options = TableOptions { metric: Some("token_loss".to_owned()), ..mapped("params=n") };
    let error = refusal("n,token_loss,data\n9,3.5,2000\n", &options);
    assert!(error.contains("hint: --map tokens=COLUMN or --map flops=COLUMN with one of `data`"), "{error}");
}

#[test]
fn a_table_that_is_not_separated_by_commas_is_told_so() {
    for (sign, shown) in [(";", "`;`"), ("\t", "tabs")] {
        let content = "params,tokens,loss\n9,2000,3.5\n".replace(',', sign);
        let problem = format!("the columns look separated by {shown}, and a CSV is read by its commas\n\nhint: ");
        let error = refusal(&content, &TableOptions::default());
        let command = if sign == ";" { "tr ',;' '.,' < " } else { "tr ',\\t' '.,' < " };
        assert!(error.contains(&problem) && error.contains(command), "{error}");
        let decimals = content.replace("3.5", "3,5");
        assert!(refusal(&decimals, &TableOptions::default()).contains(&problem), "decimals with commas");
    }
}

#[test]
fn a_table_under_another_ending_is_told_how_to_write_it() {
    let said = |kind: &str| read_as(kind, "", &TableOptions::default()).expect_err("kind").to_string();
    assert!(said("tsv").contains("hint: write it with commas: tr ',\\t' '.,' < '"), "{}", said("tsv"));
    assert!(said("xlsx").contains("save it from the spreadsheet as CSV UTF-8"));
    assert!(said("json").contains("one object a line"));
}

#[test]
fn white_space_around_the_names_of_a_header_does_not_matter() {
    let table = read_as("csv", "params, tokens , loss\n9, 2000, 3.5\n", &TableOptions::default()).expect("read");
    assert!(near(table.observations[0].tokens, 2000.0) && table.selection.metric == "loss");
}

#[test]
fn a_row_with_too_many_cells_is_named_in_our_words() {
    let error = read("a,100,2000,1.2e6,3.5\nb,100,2000,1.2e6,3,5\n").expect_err("ragged").to_string();
    assert!(error.contains("row 2 has 6 cells; the header has 5\n\nhint: put cells that hold a comma"), "{error}");
}

#[test]
fn a_broken_json_line_is_named_once() {
    let error = read_as("jsonl", "{\"params\": 9}\n{\"params\": ]\n", &TableOptions::default()).expect_err("broken");
    let error = error.to_string();
    assert!(error.contains("line 2 is not a JSON object: expected value, at column "), "{error}");
    assert_eq!(error.matches("line 1").count(), 0, "{error}");
}

#[test]
fn a_rule_that_only_names_the_column_says_so() {
    let content = format!("{HEADER}a,100,2000,1.2e6,3.5\n");
    for (rule, name) in [(FlopsRule::Exact, "exact"), (FlopsRule::Kaplan, "kaplan")] {
        let notes = read_as("csv", &content, &ruled(rule)).expect("read").notes.join("\n");
        assert!(notes.contains(&format!("`flops` is taken as counted by `--rule {name}`")), "{notes}");
    }
    let notes = read_as("csv", &content, &ruled(FlopsRule::SixNd)).expect("read").notes.join("\n");
    assert!(!notes.contains("taken as counted"), "{notes}");
}

#[test]
fn a_loss_named_by_map_and_another_by_metric_are_refused() {
    let content = "params,tokens,x,y\n9,2000,3.5,3.4\n";
    let both = |metric: &str| TableOptions { metric: Some(metric.to_owned()), ..mapped("loss=x") };
    let error = refusal(content, &both("y"));
    assert!(error.contains("`--map` names `x` as the loss and `--metric` names `y`\n\nhint: keep one"), "{error}");
    assert!(read_as("csv", content, &both("x")).is_ok());
}

#[test]
fn counts_and_distinct_tokens_reach_what_is_told_of_training() {
    let content = "params,tokens,loss,unique_tokens,total_params,embedding_params,head_params,flops_6nd,flops_kaplan,\
                   flops_exact,eval_tokens\n100,2000,3.5,2000,110,10,20,1.3e6,1.1e6,,5e5\n";
    let table = read_as("csv", content, &TableOptions::default()).expect("reads");
    let told = &table.observations[0].training;
    assert_eq!((told.unique_tokens, told.eval_tokens), (Some(2000.0), Some(5e5)));
    assert_eq!((told.total_params, told.embedding_params, told.head_params), (Some(110.0), Some(10.0), Some(20.0)));
    assert_eq!((told.flops_6nd, told.flops_kaplan, told.flops_exact), (Some(1.3e6), Some(1.1e6), None));
}

#[test]
fn evaluation_sets_and_tokenisers_are_read_by_name() {
    // A table of two sets was fitted as if of one: the columns were not looked for.
    let content = "params,tokens,loss,eval_set_digest,tokenizer_digest\n100,2000,3.5,c4,bpe\n200,2000,3.4,pile,\n";
    let table = read_as("csv", content, &TableOptions::default()).expect("reads");
    let sets: Vec<Option<&str>> = table.observations.iter().map(|one| one.eval_set_digest.as_deref()).collect();
    assert_eq!(sets, [Some("c4"), Some("pile")]);
    let tokenizers: Vec<Option<&str>> =
        table.observations.iter().map(|one| one.training.tokenizer_digest.as_deref()).collect();
    assert_eq!(tokenizers, [Some("bpe"), None]);
}

#[test]
fn rows_that_repeat_data_stay_with_their_distinct_tokens_for_a_law_that_models_it() {
    let content = "run_id,params,tokens,loss,unique_tokens\na,100,2000,3.5,500\nb,100,2000,3.4,2000\nc,100,2000,3.4,\n";
    let kept = TableOptions { keep_repeats: true, ..TableOptions::default() };
    let table = read_as("csv", content, &kept).expect("reads");
    let unique: Vec<Option<f64>> = table.observations.iter().map(|one| one.unique_tokens).collect();
    assert_eq!((unique, table.exclusions), (vec![Some(500.0), None, None], Vec::new()));
    let plain = read_as("csv", content, &TableOptions::default()).expect("reads");
    assert_eq!(plain.exclusions, [Exclusion { run_id: "a".to_owned(), reason: ExclusionReason::RepeatedTokens }]);
    assert!(plain.observations.iter().all(|one| one.unique_tokens.is_none()));
}

#[test]
fn epochs_tell_the_distinct_tokens_where_no_column_does_or_the_map_says_so() {
    let reasons = |content: &str, options: &TableOptions| -> Vec<String> {
        let table = read_as("csv", content, options).expect("reads");
        table.exclusions.into_iter().map(|one| one.run_id).collect()
    };
    let plain = TableOptions::default();
    let rows = "a,100,2000,3.5,2\nb,100,2000,3.4,1\nc,100,2000,3.3,0.5\nd,100,2000,3.2,\n";
    assert_eq!(reasons(&format!("run_id,params,tokens,loss,epochs\n{rows}"), &plain), ["a"]);
    // A table with both, of which one is a constant that no run bears out.
    let both = "run_id,params,tokens,loss,epochs,unique_tokens\na,100,2000,3.5,2,2500\nb,100,3000,3.4,1,2500\n";
    assert_eq!(reasons(both, &plain), ["b"]);
    assert_eq!(reasons(both, &mapped("epochs=epochs")), ["a"]);
    let error = refusal(both, &mapped("epochs=epochs,unique_tokens=unique_tokens"));
    assert!(error.contains("`--map` names both `unique_tokens` and `epochs`"), "{error}");
}

#[test]
fn distinct_tokens_of_a_row_whose_data_follow_from_compute_are_held_against_those() {
    // D = 1.2e6 / (6 × 100) = 2000.
    let content = "run_id,params,flops,loss,unique_tokens\na,100,1.2e6,3.5,500\nb,100,1.2e6,3.5,2000\n";
    let table = read_as("csv", content, &TableOptions::default()).expect("reads");
    assert_eq!(table.exclusions, [Exclusion { run_id: "a".to_owned(), reason: ExclusionReason::RepeatedTokens }]);
}

#[test]
fn no_distinct_tokens_at_all_is_an_error_that_names_the_row() {
    for bad in ["0", "-5", "many"] {
        let error =
            refusal(&format!("params,tokens,loss,unique_tokens\n100,2000,3.5,{bad}\n"), &TableOptions::default());
        assert!(error.contains("row 1: `unique_tokens` is") && error.contains("is needed"), "{error}");
    }
}

#[test]
fn two_losses_in_one_group_are_refused_by_name_and_fitted_apart_or_alone_where_that_is_said() {
    let content = "run_id,params,tokens,metric,loss\na,100,2000,c4,3.5\na,100,2000,pile,3.1\nb,200,4000,c4,3.4\n";
    let error = refusal(content, &TableOptions::default());
    assert!(error.contains("`metric` has 2 values, and one law needs one loss: `c4`, `pile`"), "{error}");
    assert!(error.contains("hint: keep one by --where 'metric == \"c4\"', or fit them apart"), "{error}");
    let one = TableOptions { filter: Some("metric == \"c4\"".to_owned()), ..TableOptions::default() };
    assert_eq!(read_as("csv", content, &one).expect("reads").observations.len(), 2);
    assert_eq!(read_as("csv", content, &mapped("group=metric")).expect("reads").observations.len(), 3);
}

#[test]
fn checkpoints_of_one_trunk_are_said_to_count_as_runs_unless_a_column_says_which_is_the_last() {
    let said = |content: &str| read_as("csv", content, &TableOptions::default()).expect("reads").notes.join("\n");
    let note = "3 rows are of 2 trunks (`cluster`): each counts as a run";
    assert!(said("cluster,params,tokens,loss\na,100,2000,3.5\na,100,4000,3.4\nb,200,4000,3.3\n").contains(note));
    assert!(!said("cluster,params,tokens,loss\na,100,2000,3.5\nc,100,4000,3.4\nb,200,4000,3.3\n").contains("trunks"));
    let told = "cluster,is_final,params,tokens,loss\na,false,100,2000,3.5\na,true,100,4000,3.4\nb,true,200,4000,3.3\n";
    assert!(!said(told).contains("trunks"));
}
