// What this browser calls itself, for the lists of devices and of who is here.
const BROWSERS = [["Edge", /\bEdg\//], ["Opera", /\bOPR\//], ["Firefox", /\bFirefox\//], ["Chrome", /Chrome\//], ["Safari", /\bSafari\//]];
const SYSTEMS = [["Android", /Android/], ["iPhone", /iPhone/], ["iPad", /iPad/], ["Mac", /Mac OS X|Macintosh/], ["Windows", /Windows/], ["ChromeOS", /CrOS/], ["Linux", /Linux/]];

const named = (rows, text, otherwise) => rows.find(([, pattern]) => pattern.test(text))?.[0] ?? otherwise;

export function browserName() {
    const agent = navigator.userAgent;
    return `${named(BROWSERS, agent, "Browser")} on ${named(SYSTEMS, agent, "unknown system")}`;
}

export function clientInfo() {
    return { id: "webchat-ui", mode: "webchat", displayName: browserName(), version: "1", platform: "web", timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone };
}

export const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);
