//! Tables as they were published.

use super::*;

/// The folder of published tables, or `None`, said aloud, where there is none.
fn published(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("FORESCALE_PUBLISHED_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    // Written to the process's own stderr, which the harness does not capture, so that a skip is always seen.
    let _ =
        std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: no published table `{name}`\n").as_bytes());
    if let Some(list) = std::env::var_os("FORESCALE_SKIPS") {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(list).expect("the list can be written");
        std::io::Write::write_all(&mut file, format!("{name}\n").as_bytes()).expect("the list can be written");
    }
    None
}

struct Published {
    table: &'static str,
    map: &'static str,
    metric: Option<&'static str>,
    filter: &'static str,
    rows: usize,
}

#[test]
fn published_tables_read_with_their_own_numbers_of_rows() {
    // Row counts: 240 is Besiroglu et al. (arXiv:2404.10102) without the five outliers; the isoFLOP counts are those of
    // the acceptance table of these sets (85 and 176, 124, 123); 69 models are Gadre et al. (arXiv:2403.08540).
    let cases = [
        Published { table: "chinchilla_epoch", map: "", metric: None, filter: "dropped_by_epoch == 0", rows: 240 },
        Published {
            table: "isoflops",
            map: "group=experiment",
            metric: None,
            filter: "experiment == 'marin_202603__comma__llama_2'",
            rows: 85,
        },
        Published { table: "isoflops", map: "group=source", metric: None, filter: "source != nothing", rows: 593 },
        Published {
            table: "gadre_runs",
            map: "group=train_data",
            metric: Some("loss_c4_val"),
            filter: "lr > 0",
            rows: 69,
        },
        Published { table: "gadre_losses", map: "group=val_set", metric: None, filter: "val_set == openlm", rows: 69 },
    ];
    for case in cases {
        let Some(path) = published(&format!("{}.csv", case.table)) else { return };
        let options = TableOptions {
            metric: case.metric.map(str::to_owned),
            map: vec![case.map.to_owned()],
            filter: Some(case.filter.to_owned()),
            ..TableOptions::default()
        };
        let table = read_table(&path, &options).unwrap_or_else(|error| panic!("{}: {error}", case.table));
        assert_eq!(table.observations.len(), case.rows, "{}", case.table);
    }
}

#[test]
fn every_published_table_of_runs_reads() {
    let cases = [
        (
            "porian_isoflop",
            "params=params",
            "hparams == base and warmup == long and param_count == kaplan and val == train",
        ),
        ("olmo_ladder_final", "loss=value", "metric == 'c4_en-validation/CrossEntropyLoss'"),
        ("misfitting_final", "lr=peak_lr", "portion_steps_elapsed == 1"),
        ("steplaw_dense", "params=params_non_embed,run_id=exp_name", "loss < 5"),
        ("datablations_contours", "run_id=run", "epochs >= 0"),
        ("xlstm_isoflop", "flops=flops_6nd,loss=val_loss,run_id=id", "arch == mlstm"),
        ("gemstones_losses", "run_id=run_name,group=set", "step == 83475"),
        ("alabdulmohsin_curves", "tokens=seen", "domain == BB"),
    ];
    for (name, map, filter) in cases {
        let Some(path) = published(&format!("{name}.csv")) else { return };
        let options =
            TableOptions { map: vec![map.to_owned()], filter: Some(filter.to_owned()), ..TableOptions::default() };
        match read_table(&path, &options) {
            Ok(table) => {
                assert!(!table.observations.is_empty(), "{name}");
                let is_curves = table.doubts.iter().any(|doubt| doubt.code == "checkpoints");
                assert!(!is_curves, "{name}: {:?}", table.doubts);
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn published_curves_are_not_read_as_runs_though_no_column_names_their_runs() {
    let Some(path) = published("gemstones_losses.csv") else { return };
    let filter = Some("set == 'val_fineweb_dclm'".to_owned());
    let error = read_table(&path, &TableOptions { filter, ..TableOptions::default() }).expect_err("refused");
    assert!(error.problem.contains("rows look like checkpoints on"), "{error}");
}
