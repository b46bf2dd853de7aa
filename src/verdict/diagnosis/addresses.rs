//! Addresses of one name that split differently.

use super::{Finding, UNEXPLAINED};
use crate::claim::Claim;
use crate::measured::Measured;
use crate::verdict::Judgement;
use crate::verdict::steadiness::parts_differ;

/// Puts it first, and in place of no known cause, where the split is off, and last where it is not.
pub(super) fn beside(
    claim: &Claim,
    measured: &Measured,
    judgement: &Judgement,
    mut findings: Vec<Finding>,
) -> Vec<Finding> {
    let Some(finding) = differ(claim, measured, judgement) else {
        return findings;
    };
    if judgement.judged.p_value <= claim.criterion.alpha {
        findings.retain(|finding| finding.code != UNEXPLAINED);
        findings.insert(0, finding);
    } else {
        findings.push(finding);
    }
    findings
}

/// That some addresses saw another split than the others.
fn differ(claim: &Claim, measured: &Measured, judgement: &Judgement) -> Option<Finding> {
    let agreement = judgement.address_agreement.as_ref()?;
    agreement.is_refuted.then(|| {
        let name = |index: u32| measured.addresses[index as usize].to_string();
        let message = parts_differ("addresses", name, claim, agreement);
        let tested = &agreement.homogeneity;
        Finding::new("addresses_differ", message)
            .with("differing", agreement.differing.len() as f64)
            .with("p_value", tested.p_value)
            .with("chi_square", tested.statistic)
            .with("degrees_of_freedom", tested.degrees_of_freedom as f64)
    })
}
