// Numbers and times as people read them. Every time on the page is a <time> whose title is exact.
import { h } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const number = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

export const count = (value) => number.format(value);
export const short = (value) => compact.format(value);
export const plural = (n, one, many = `${one}s`) => `${number.format(n)} ${n === 1 ? one : many}`;

export function bytes(value) {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let at = 0;
    while (value >= 1000 && at < units.length - 1) (value /= 1024, at++);
    return `${value >= 100 || at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function duration(ms) {
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < MINUTE) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
    if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${Math.round((ms % MINUTE) / 1000)} s`;
    if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${Math.floor((ms % HOUR) / MINUTE)} min`;
    return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`;
}

export function sameDay(a, b) {
    return new Date(a).toDateString() === new Date(b).toDateString();
}

export const dayOf = (at) => new Date(at).setHours(0, 0, 0, 0);

export function dayName(at) {
    const now = Date.now();
    if (sameDay(at, now)) return "Today";
    if (sameDay(at, now - DAY)) return "Yesterday";
    return day.format(at);
}

function ago(at) {
    const age = Date.now() - at;
    if (age < 0) return sameDay(at, Date.now()) ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`;
    if (age < 45_000) return "now";
    if (age < HOUR) return `${Math.max(1, Math.round(age / MINUTE))} min`;
    if (sameDay(at, Date.now())) return clock.format(at);
    if (age < 7 * DAY) return day.format(at).split(/[ ,]/)[0];
    return day.format(at);
}

const WAYS = { ago, clock: (at) => clock.format(at), full: (at) => `${dayName(at)} ${clock.format(at)}` };

export function time(at, way = "ago", props = {}) {
    if (!Number.isFinite(at) || at <= 0) return h("span", props, "–");
    const date = new Date(at);
    return h("time", { datetime: date.toISOString(), title: exact.format(date), ...props }, WAYS[way](at));
}
