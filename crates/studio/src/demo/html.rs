//! The report as one self-contained page.

use std::fmt::Write as _;

use tiller_discover::evaluate::is_letter_collapse;
use tiller_protocol::evaluation::{Condition, Rate};

use super::figures::Figure;
use super::findings::percent;
use super::results::{Curve, PersonaStudy, Results};
use crate::plot::escape;

const STYLE: &str = include_str!("report.css");

/// The whole page; figures are drawn inside it, nothing is fetched.
pub(super) fn page(results: &Results, figures: &[Figure]) -> String {
    let mut page = Page { out: String::new(), figures };
    page.head(results);
    for study in &results.personas {
        page.study(study);
    }
    if let Some(steering) = &results.steering {
        page.steering(&steering.curves);
    }
    page.method(results);
    page.out.push_str("</main></body></html>\n");
    page.out
}

struct Page<'a> {
    out: String,
    figures: &'a [Figure],
}

impl Page<'_> {
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        let written = self.out.write_fmt(text);
        debug_assert!(written.is_ok(), "writing to a string succeeds");
    }

    fn head(&mut self, results: &Results) {
        self.add(format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>Tiller demo report</title><style>{STYLE}</style></head><body><main>"
        ));
        let speed = results
            .times
            .tokens_per_sec
            .map_or_else(String::new, |speed| format!(" It writes {speed:.0} tokens a second on this machine."));
        self.add(format_args!(
            "<h1>What a prompt and a vector do to a persona</h1>\
             <p class=\"lead\">Tiller {} on its demo model ({:.1} million parameters, weights {}), seed {}.{speed}</p>",
            escape(&results.tiller),
            results.n_params as f64 / 1e6,
            escape(&results.model_hash),
            results.seed,
        ));
        if results.stopped {
            self.out
                .push_str("<p class=\"warn\">The run was stopped: this report holds what was finished by then.</p>");
        }
        self.out.push_str("<section><h2>Findings</h2><ul>");
        for finding in &results.findings {
            self.add(format_args!("<li>{}</li>", escape(finding)));
        }
        self.out.push_str("</ul></section>");
    }

    fn study(&mut self, study: &PersonaStudy) {
        let (n_select, n_report) = study.n_items;
        let vector = &study.vector;
        self.add(format_args!(
            "<section><h2>{}</h2><p>The vector is the mean difference between {} and {} answers over {} pairs, taken at \
             the last prompt token after block {} (counted from 0). Its length is {:.2} of the median residual; its two \
             halves agree with a cosine of {:.2}; on pairs left out it tells the sides apart with an AUROC of {:.2}. \
             Projected out before the search: {}; {:.0} % of its direction stays (cosine). Prompts were chosen on {n_select} \
             selection items and are reported on {n_report} held-out ones, A/B items in both letter orders.</p>",
            escape(&study.name),
            escape(&study.positive),
            escape(&study.negative),
            study.n_pairs,
            vector.block,
            vector.norm / vector.resid_norm.max(f64::MIN_POSITIVE),
            vector.split_half_cos,
            vector.auroc,
            escape(&study.projected_out.join(", ")),
            study.cosine_kept * 100.0,
        ));
        self.figure(&format!("rates-{}", study.persona));
        self.conditions(study);
        self.out.push_str(
            "<p class=\"limits\"><strong>What this does not show.</strong> The rate is which of two answers the model \
             prefers, on items of the kind that the demo model was trained on. It does not show that the prompt works on \
             other models, on other questions, or that the model holds an opinion. 50 % on A/B items is also what a model \
             scores that always says one letter: look at the letter columns.</p>",
        );
        self.figure(&format!("front-{}", study.persona));
        self.searches(study);
        self.figure(&format!("latents-{}", study.persona));
        self.out.push_str(
            "<p class=\"limits\"><strong>What this does not show.</strong> The effect on these axes is a shift of the \
             residual stream, not of behaviour: a point high up may do nothing to the answers, which is why prompts are \
             chosen by their answers. Random mutation is given as many candidates as the gradient, not as much time: \
             gradients cost extra.</p></section>",
        );
    }

    fn conditions(&mut self, study: &PersonaStudy) {
        self.out.push_str(
            "<div class=\"wide\"><table><thead><tr><th>Condition</th><th>Prompt</th><th>nats per token</th>\
             <th>Selection</th><th>Held-out</th><th>As written</th><th>Letters exchanged</th><th>First letter</th>\
             <th>Mean margin, nats</th></tr></thead><tbody>",
        );
        for (i, condition) in study.conditions.iter().enumerate() {
            let class = if study.chosen == Some(i) { " class=\"chosen\"" } else { "" };
            self.condition(condition, class);
        }
        self.out.push_str("</tbody></table></div>");
        let test = |page: &mut Self, what: &str, test: &Option<super::results::Test>| {
            if let Some(test) = test {
                page.add(format_args!(
                    "<p>Chosen prompt against {what}, decision by decision: {} {} only with the chosen prompt, {} only \
                     with the other; p = {:.2e} (exact McNemar test).</p>",
                    test.only_chosen,
                    escape(&study.positive),
                    test.only_other,
                    test.p_value
                ));
            }
        };
        test(self, "no prompt", &study.against_none);
        test(self, "the best manual prompt", &study.against_manual);
    }

    fn condition(&mut self, condition: &Condition, class: &str) {
        let report = condition.report.as_ref();
        let cell = |rate: Option<Rate>| rate.as_ref().map_or_else(|| "\u{2013}".to_owned(), percent);
        let collapse = if report.is_some_and(is_letter_collapse) { " (one letter)" } else { "" };
        self.add(format_args!(
            "<tr{class}><td>{}</td><td class=\"prompt\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}{collapse}</td><td>{}</td></tr>",
            escape(&condition.name),
            escape(condition.prompt.as_deref().unwrap_or("\u{2013}")),
            condition.xent.map_or_else(|| "\u{2013}".to_owned(), |xent| format!("{xent:.2}")),
            cell(condition.select.as_ref().map(|select| select.persona)),
            cell(report.map(|report| report.persona)),
            cell(report.and_then(|report| report.as_written)),
            cell(report.and_then(|report| report.swapped)),
            cell(report.and_then(|report| report.first_letter)),
            report.map_or_else(|| "\u{2013}".to_owned(), |report| format!("{:+.2}", report.mean_margin)),
        ));
    }

    fn searches(&mut self, study: &PersonaStudy) {
        self.out.push_str(
            "<div class=\"wide\"><table><thead><tr><th>Search</th><th>Candidates</th><th>Gradients</th>\
             <th>Best effect, σ</th><th>Hypervolume</th><th>Held-out rate of its choice</th></tr></thead><tbody>",
        );
        for search in &study.searches {
            let rate = search.conditions.first().and_then(|i| study.rate(*i));
            self.add(format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td><td>{:.1}</td><td>{}</td></tr>",
                escape(&search.name),
                search.evaluations,
                search.gradients,
                search.best_target,
                search.hypervolume,
                rate.as_ref().map_or_else(|| "\u{2013}".to_owned(), percent),
            ));
        }
        self.out.push_str(
            "</tbody></table></div><p>Effects of SAEGA and of the random direction have other units than RESGA's and are \
             not to be compared with it by height.</p>",
        );
    }

    fn steering(&mut self, curves: &[Curve]) {
        self.out.push_str("<section><h2>Steering by vectors</h2>");
        self.figure("steering-dispositions");
        self.figure("steering-styles");
        self.out.push_str(
            "<div class=\"wide\"><table><thead><tr><th>Curve</th><th>Vector added</th><th>Slider</th><th>Rate</th>\
             <th>Decided</th><th>Perplexity</th><th>Perplexity when told</th><th>First reply</th></tr></thead><tbody>",
        );
        for curve in curves {
            for dose in &curve.points {
                let number = |value: Option<f64>| value.map_or_else(|| "\u{2013}".to_owned(), |v| format!("{v:.2}"));
                let sample = dose.sample.as_ref().map_or_else(String::new, |(_, reply)| escape(reply));
                self.add(format_args!(
                    "<tr><td>{}</td><td>{:+}</td><td>{:+.3}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
                     <td class=\"prompt\">{sample}</td></tr>",
                    escape(&curve.name),
                    dose.times,
                    dose.strength,
                    percent(&dose.rate),
                    dose.n_decided,
                    number(dose.perplexity),
                    number(dose.perplexity_told),
                ));
            }
        }
        self.out.push_str("</tbody></table></div>");
        self.figure("steering-perplexity");
        self.out.push_str(
            "<p class=\"limits\"><strong>What this does not show.</strong> Sampled replies are judged by word patterns, \
             which miss what they do not name; replies that they do not decide are left out of the rate. Perplexity is \
             that of the reply under the plain model after the same question; for a style, whose words the plain model \
             never says, the column \u{201c}when told\u{201d} takes the plain model with the instruction to speak so. A \
             vector that works here need not work at another block, on other questions, or together with another \
             vector.</p></section>",
        );
    }

    fn method(&mut self, results: &Results) {
        let s = &results.settings;
        self.add(format_args!(
            "<section><h2>How it was done</h2><p>Searches: EPO with {} slots over λ from {} to {} σ per nat, {} children \
             each, {} iterations, prompts of {} tokens in the place \u{201c}{}\u{201d}, effect averaged over {} fixed \
             questions. Persona rates: summed log-probability of the two answers; intervals: Wilson, 95 %. Chosen on \
             selection items, reported on held-out ones; no seed was left out. The same command with the same seed, model \
             and machine gives the same numbers: <code>tiller demo --out DIR{} --seed {}</code>. All numbers are in \
             <code>results.json</code>.</p></section>",
            s.population,
            s.lambda_min,
            s.lambda_max,
            s.children,
            s.iterations,
            s.prompt_len,
            escape(s.placement.label()),
            s.n_contexts,
            if results.quick { " --quick" } else { "" },
            results.seed,
        ));
    }

    fn figure(&mut self, name: &str) {
        if let Some(figure) = self.figures.iter().find(|figure| figure.name == name) {
            // A page in HTML knows the element by its name; the namespace would look like a link to the network.
            let svg = figure.svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
            self.add(format_args!("<figure>{svg}</figure>"));
        }
    }
}
