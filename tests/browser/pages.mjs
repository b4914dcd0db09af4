// Opens pages that forescale wrote in headless Chromium: `node pages.mjs [--shots DIR] PAGE…`
//
// Of each page: no message on the console, no request, no overflow at four widths, in light and dark no serious finding of
// axe, every link of the contents leads somewhere, sorting and filtering by keyboard, a PDF, and all of its words with
// scripts off. Fails when anything fails, and says what and on which page.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const WIDTHS = [420, 768, 1280, 1920];
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const words = process.argv.slice(2);
const shots = words[0] === "--shots" ? words.splice(0, 2)[1] : null;
if (words.length === 0) {
    console.error("usage: node pages.mjs [--shots DIR] PAGE…");
    process.exit(2);
}

const failures = [];
const fail = (page, text) => failures.push(`${page}: ${text}`);

/** Widest element past the right edge, where the page itself scrolls sideways. */
const overflow = () => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return null;
    const past = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1);
    return past.slice(0, 3).map((e) => `${e.tagName.toLowerCase()}.${e.getAttribute("class") ?? ""}`).join(", ") || "?";
};

const brokenLinks = () =>
    [...document.querySelectorAll('a[href^="#"]')].map((a) => a.getAttribute("href").slice(1)).filter((id) => !document.getElementById(id));

const text = () => document.querySelector("main").innerText.replace(/\s+/g, " ").trim();

async function axe(page, name, theme) {
    await page.evaluate(await (await import("node:fs/promises")).readFile(AXE, "utf8"));
    const found = await page.evaluate(async () => {
        const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
        return violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, where: nodes[0].target.join(" "), nodes: nodes.length }));
    });
    for (const { id, impact, help, where, nodes } of found) {
        const line = `axe (${theme}): ${impact} ${id}: ${help}, ${nodes} times, first at ${where}`;
        if (impact === "serious" || impact === "critical") fail(name, line);
        else console.log(`  note: ${line}`);
    }
}

/** The table of runs, sorted by its headers and filtered, by keys alone. */
async function table(page, name) {
    if (!(await page.$("table.sortable tbody tr"))) return;
    const column = () => page.evaluate(() => [...document.querySelectorAll("table.sortable tbody tr")].map((tr) => tr.cells[4]?.dataset.key ?? ""));
    const button = await page.$("table.sortable thead th:nth-child(5) button");
    if (!button) return fail(name, "the header of the runs' fifth column is no button: it cannot be sorted by keyboard");
    await button.focus();
    for (const falling of [false, true]) {
        await page.keyboard.press("Enter");
        const keys = (await column()).map(Number);
        const wrong = keys.some((key, i) => i > 0 && (falling ? key > keys[i - 1] : key < keys[i - 1]));
        if (wrong) fail(name, `Enter on a header does not sort (${falling ? "falling" : "rising"})`);
    }
    const input = await page.$('input[type="search"]');
    if (!input) return fail(name, "there is no field that filters the runs");
    const visible = () => page.evaluate(() => [...document.querySelectorAll("table.sortable tbody tr")].filter((tr) => tr.offsetParent !== null).length);
    const all = await visible();
    await input.focus();
    await page.keyboard.type("no run has this name");
    if ((await visible()) !== 0) fail(name, "a filter that fits no run leaves some");
    await input.evaluate((field) => { field.value = ""; field.dispatchEvent(new Event("input")); });
    if ((await visible()) !== all) fail(name, "an empty filter does not bring the runs back");
}

async function check(browser, path, index) {
    const name = `${basename(dirname(resolve(path)))}/${basename(path)}`;
    const url = pathToFileURL(resolve(path)).href;
    console.log(`${name} (${path})`);
    const page = await browser.newPage();
    page.on("console", (message) => fail(name, `console ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => fail(name, `script: ${error.message}`));
    page.on("request", (request) => {
        if (request.url() !== url && !request.url().startsWith("data:")) fail(name, `asks for ${request.url()}`);
    });
    for (const width of WIDTHS) {
        await page.setViewport({ width, height: 900 });
        await page.goto(url, { waitUntil: "load" });
        const past = await page.evaluate(overflow);
        if (past) fail(name, `overflows at ${width} px: ${past}`);
        if (shots) await page.screenshot({ path: join(shots, `${index}-${width}.png`), fullPage: true });
    }
    await page.setViewport({ width: 1280, height: 900 });
    await page.goto(url, { waitUntil: "load" });
    for (const id of await page.evaluate(brokenLinks)) fail(name, `#${id} leads nowhere`);
    await table(page, name);
    const scripted = await page.evaluate(text);
    // Axe is put in by the browser, past the page's own policy; it is judged after everything else.
    await page.setBypassCSP(true);
    for (const theme of ["light", "dark"]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
        await page.goto(url, { waitUntil: "load" });
        if (shots && theme === "dark") await page.screenshot({ path: join(shots, `${index}-dark.png`), fullPage: true });
        await axe(page, name, theme);
    }
    const pdf = await page.pdf({ format: "A4" });
    if (pdf.length < 20_000) fail(name, `its PDF has ${pdf.length} bytes`);
    await page.close();

    const plain = await browser.newPage();
    await plain.setJavaScriptEnabled(false);
    await plain.setViewport({ width: 1280, height: 900 });
    await plain.goto(url, { waitUntil: "load" });
    const bare = await plain.$eval("main", (main) => main.innerText.replace(/\s+/g, " ").trim());
    const lost = scripted.length - bare.length;
    if (lost > 200) fail(name, `${lost} characters of it are not there with scripts off`);
    if (await plain.evaluate(overflow)) fail(name, "overflows with scripts off");
    await plain.close();
}

if (shots) mkdirSync(shots, { recursive: true });
const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
try {
    for (const [index, path] of words.entries()) await check(browser, path, index);
} finally {
    await browser.close();
}
failures.forEach((line) => console.error(`FAILED ${line}`));
console.log(failures.length === 0 ? `${words.length} pages, all well` : `${failures.length} failures`);
process.exit(failures.length === 0 ? 0 : 1);
