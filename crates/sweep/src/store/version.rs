//! `name/major.minor` of a stored form, held against the one that this program reads.

/// Checks a form's name and version; an error is a problem and a hint.
///
/// The same major and no newer minor can be read: a minor version only adds what older files do not need.
pub(crate) fn check_version(found: &str, expected: &str) -> Result<(), (String, String)> {
    let (name, major, minor) = parts(expected).expect("our own schema names are well formed");
    let Some((found_name, found_major, found_minor)) = parts(found) else {
        return Err((format!("`schema` is `{found}`; `{expected}` is needed"), format!("schema = \"{expected}\"")));
    };
    if found_name != name {
        return Err((format!("this is a `{found_name}`; a `{name}` is needed"), "give another file".to_owned()));
    }
    if (found_major, found_minor) > (major, minor) {
        let problem = format!("`{found}` is too new; this program reads `{expected}`");
        return Err((problem, "use a newer forescale (`forescale --version` tells which this is)".to_owned()));
    }
    if found_major < major {
        let problem = format!("`{found}` is too old; this program reads `{expected}`");
        return Err((problem, "read it with the version of forescale that wrote it".to_owned()));
    }
    Ok(())
}

fn parts(schema: &str) -> Option<(&str, u32, u32)> {
    let (name, version) = schema.split_once('/')?;
    let (major, minor) = version.split_once('.')?;
    Some((name, major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(found: &str) -> String {
        check_version(found, "forescale.record/2.1").expect_err(found).0
    }

    #[test]
    fn the_same_major_and_an_older_minor_are_read() {
        for found in ["forescale.record/2.1", "forescale.record/2.0"] {
            assert_eq!(check_version(found, "forescale.record/2.1"), Ok(()));
        }
    }

    #[test]
    fn too_new_too_old_and_another_form_are_told_apart() {
        assert!(problem("forescale.record/2.2").contains("too new"));
        assert!(problem("forescale.record/3.0").contains("too new"));
        assert!(problem("forescale.record/1.9").contains("too old"));
        assert!(problem("forescale.fit/2.1").contains("`forescale.record` is needed"));
        assert!(problem("2.1").contains("is needed"));
    }
}
