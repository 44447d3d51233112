// A process that sits at the gateway's host and would pair by itself does not when its request says that it
// speaks for somebody else; and a page of another origin does not even get a socket. design.md section 5.
import path from "node:path";
import { jsonOf } from "../kit/scenario.mjs";

const FORWARDING = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Host": "gateway.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "443",
    "X-Real-IP": "203.0.113.7",
    Forwarded: "for=203.0.113.7",
    Via: "1.1 proxy.example",
    "CF-Connecting-IP": "203.0.113.7",
    "True-Client-IP": "203.0.113.7",
    "Tailscale-User-Login": "person@example.com",
};

// pairs, asks or refused, by what the request carries.
function rows(port) {
    const host = (name) => ({ Host: name });
    const page = (origin) => ({ Origin: origin });
    return [
        ["nothing of note", {}, "pairs"],
        ["Host localhost", host(`localhost:${port}`), "pairs"],
        ["Host [::1]", host(`[::1]:${port}`), "pairs"],
        ...Object.entries(FORWARDING).map(([name, value]) => [name, { [name]: value }, "asks"]),
        ["an empty X-Forwarded-For", { "X-Forwarded-For": "" }, "asks"],
        ["a forged X-Forwarded-For of loopback", { "X-Forwarded-For": "127.0.0.1" }, "asks"],
        ["Host *.ts.net", host("box.tail1234.ts.net"), "asks"],
        ["Host *.ts.net with our port", host(`box.tail1234.ts.net:${port}`), "asks"],
        ["Host of another name", host(`gateway.example:${port}`), "asks"],
        ["Host of loopback with another port", host(`127.0.0.1:${port === 18789 ? 18790 : 18789}`), "asks"],
        ["Host of loopback without a port", host("127.0.0.1"), "asks"],
        ["Host that begins like loopback", host(`127.0.0.1.example:${port}`), "asks"],
        ["a foreign Origin", page("https://evil.example"), "refused"],
        ["Origin null", page("null"), "refused"],
        ["Origin of another port", page(`http://127.0.0.1:${port === 18789 ? 18790 : 18789}`), "refused"],
        ["Origin of another scheme", page(`https://127.0.0.1:${port}`), "refused"],
        ["Origin of another name of ours", page(`http://localhost:${port}`), "refused"],
        ["Origin equal to a Host not ours (DNS rebinding)", { ...host(`evil.example:${port}`), ...page(`http://evil.example:${port}`) }, "refused"],
        ["our own Origin", page(`http://127.0.0.1:${port}`), "pairs"],
    ];
}

export default async function (scenario) {
    const gateway = await scenario.gateway();
    for (const [name, headers, wanted] of rows(gateway.port)) {
        const answer = await probe(scenario, gateway.url, { token: gateway.token, headers });
        scenario.ok(verdict(answer) === wanted, `${name}: ${wanted}`, answer);
    }
    // The socket file: no Host is asked of it, but an Origin is.
    const socket = `ws+unix://${path.join(gateway.state, "gateway.sock")}:/`;
    for (const [name, headers, wanted] of [
        ["nothing of note", {}, "pairs"],
        ["X-Forwarded-For", { "X-Forwarded-For": "203.0.113.7" }, "asks"],
        ["a foreign Origin", { Origin: "https://evil.example" }, "refused"],
        ["Origin null", { Origin: "null" }, "refused"],
    ]) {
        const answer = await probe(scenario, socket, { token: gateway.token, headers });
        scenario.ok(verdict(answer) === wanted, `gateway.sock, ${name}: ${wanted}`, answer);
    }
    const without = await probe(scenario, gateway.url, {});
    scenario.ok(without.error && verdict(without) !== "asks" && verdict(without) !== "pairs", "without the secret nobody pairs or asks", without);
}

function verdict({ hello, error, refused }) {
    if (hello) return "pairs";
    if (refused) return /\b403\b/.test(refused) ? "refused" : refused;
    return error?.code === "NOT_PAIRED" && error.details?.requestId ? "asks" : error?.message;
}

async function probe(scenario, url, options) {
    const script = path.join(import.meta.dirname, "probe.mjs");
    const seen = await scenario.run(process.execPath, [script, url, JSON.stringify(options)], { env: process.env, cwd: scenario.dir });
    return jsonOf(seen.out) ?? { refused: `${seen.status} ${seen.err}` };
}
