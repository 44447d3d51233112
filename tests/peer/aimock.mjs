// aimock, a published stand-in for model servers. First the vendor's own client (openai) shows that it is
// honest, then the gateway's model code takes the client's place: streaming, usage, history, 429 with
// Retry-After, 5xx, a cut stream, a dropped connection, cancel, a key that is refused.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Skip, TOP, packages } from "./kit/scenario.mjs";

const KEY = "sk-peer-secret";
const TEXT = "The quick brown fox jumps over the lazy dog. Café 😀 done.";

export default async function (scenario) {
    const modules = packages("models");
    const { LLMock } = await import(pathToFileURL(path.join(modules, "@copilotkit/aimock/dist/index.js")));
    const { default: OpenAI } = await import(pathToFileURL(path.join(modules, "openai/index.mjs")));
    const mock = new LLMock({ port: 0, host: "127.0.0.1", strict: true, logLevel: "silent" });
    for (const who of ["vendor", "culvert"]) mock.addFixtures(fixtures(who));
    await mock.start();
    scenario.atEnd(() => mock.stop());
    scenario.say(`aimock on ${mock.url}`);

    await vendorAgrees(scenario, new OpenAI({ apiKey: KEY, baseURL: `${mock.url}/v1`, maxRetries: 0 }), OpenAI);
    await culvertAnswers(scenario, mock);
    mock.resetMatchCounts();
    await gatewayAnswers(scenario, mock);
}

function fixtures(who) {
    const usage = { prompt_tokens: 12, completion_tokens: 9, total_tokens: 21 };
    const error = (status, extra = {}) => ({ error: { message: `told ${status}`, type: "test" }, status, ...extra });
    const on = (word, response, opts = {}, index) => ({
        match: { userMessage: `${who} ${word}`, ...(index === undefined ? {} : { sequenceIndex: index }) }, response, ...opts,
    });
    return [
        on("stream", { content: TEXT, usage }, { chunkSize: 7, latency: 5 }),
        on("limited", error(429, { retryAfter: 2 }), {}, 0),
        on("limited", { content: "after the limit" }, {}, 1),
        on("quota", { error: { message: "no credit", type: "insufficient_quota", code: "insufficient_quota" }, status: 429 }),
        on("failing", error(500), {}, 0),
        on("failing", error(503), {}, 1),
        on("failing", { content: "after the failures" }, {}, 2),
        on("refused", { error: { message: `Incorrect API key provided: ${KEY}`, type: "invalid_request_error", code: "invalid_api_key" }, status: 401 }),
        on("cut", { content: TEXT }, { chunkSize: 5, latency: 10, truncateAfterChunks: 4 }),
        on("gone", { content: TEXT }, { chunkSize: 5, latency: 40, disconnectAfterMs: 200 }),
        on("slow", { content: TEXT }, { chunkSize: 3, latency: 100 }),
    ];
}

const ask = (client, message) => client.chat.completions.create({
    model: "gpt-test", stream: true, stream_options: { include_usage: true }, messages: [{ role: "user", content: message }],
});

async function collect(stream) {
    const seen = { text: "", usage: null, finish: null, error: null };
    try {
        for await (const chunk of stream) {
            seen.text += chunk.choices[0]?.delta?.content ?? "";
            seen.finish = chunk.choices[0]?.finish_reason ?? seen.finish;
            seen.usage = chunk.usage ?? seen.usage;
        }
    } catch (error) {
        seen.error = error;
    }
    return seen;
}

async function vendorAgrees(scenario, client, OpenAI) {
    const whole = await collect(await ask(client, "vendor stream"));
    scenario.ok(whole.text === TEXT && whole.finish === "stop" && whole.usage?.prompt_tokens === 12, "the vendor's client reads the stream", whole);
    const limited = await ask(client, "vendor limited").catch((error) => error);
    scenario.ok(limited instanceof OpenAI.RateLimitError && limited.headers?.get("retry-after") === "2", "… sees 429 and Retry-After", String(limited));
    const failing = await ask(client, "vendor failing").catch((error) => error);
    scenario.ok(failing instanceof OpenAI.InternalServerError, "… sees 500", String(failing));
    const refused = await ask(client, "vendor refused").catch((error) => error);
    scenario.ok(refused instanceof OpenAI.AuthenticationError, "… sees 401", String(refused));
    const cut = await collect(await ask(client, "vendor cut"));
    scenario.ok(cut.text.length > 0 && cut.text !== TEXT && (cut.finish === null || cut.error), "… sees a cut stream", cut);
}

async function culvertAnswers(scenario, mock) {
    const drive = driver(scenario, mock);
    const since = (before) => mock.getRequests().slice(before).filter((entry) => entry.path.includes("chat/completions"));

    let before = mock.getRequests().length;
    let seen = await drive("culvert stream");
    scenario.ok(seen.text === TEXT && seen.deltas > 3, "the stream arrives whole, in pieces", seen);
    scenario.ok(seen.end.end === "ok" && seen.end.stopReason === "stop", "… and ends well", seen.end);
    scenario.ok(seen.end.input === 12 && seen.end.output === 9, "… with its usage", seen.end);
    const [request] = since(before);
    scenario.ok(JSON.stringify(request?.body?.messages) === JSON.stringify([
        { role: "system", content: "Be brief." }, { role: "user", content: "culvert stream" }]), "the request holds system prompt and message", request?.body);

    before = mock.getRequests().length;
    seen = await drive("culvert limited");
    scenario.ok(seen.text === "after the limit" && seen.end.end === "ok", "a rate limit is waited out", seen);
    scenario.ok(since(before).length === 2 && seen.ms >= 1900, "… for as long as Retry-After says, then asked once more", { requests: since(before).length, ms: seen.ms });

    before = mock.getRequests().length;
    seen = await drive("culvert quota");
    scenario.ok(seen.end.errorKind === "rate_limit" && since(before).length === 1, "no credit left is not retried", seen);

    before = mock.getRequests().length;
    seen = await drive("culvert failing");
    scenario.ok(seen.text === "after the failures" && since(before).length === 3, "500 and 503 are retried", { seen, requests: since(before).length });

    before = mock.getRequests().length;
    seen = await drive("culvert refused");
    scenario.ok(seen.end.end === "AUTH" && since(before).length === 1, "a refused key is not retried", seen);
    scenario.ok(!JSON.stringify(seen).includes(KEY), "… and not shown", seen);

    for (const word of ["cut", "gone"]) {
        before = mock.getRequests().length;
        seen = await drive(`culvert ${word}`);
        scenario.ok(seen.end.end === "CLOSED" && seen.text.length > 0 && TEXT.startsWith(seen.text), `a stream that is ${word} keeps its text and says so`, seen);
        scenario.ok(since(before).length === 1, "… and is not asked again", since(before).length);
    }

    seen = await drive("culvert slow", "2");
    scenario.ok(seen.end.end === "CANCELLED" && seen.deltas === 2 && seen.ms < 3000, "a cancel ends it at once", seen);
}

// The same through the whole gateway, asked by its own command.
async function gatewayAnswers(scenario, mock) {
    const config = {
        agents: { defaults: { model: { primary: "mock/gpt-test" } } },
        models: { providers: { mock: { baseUrl: `${mock.url}/v1`, apiKey: KEY, models: [{ id: "gpt-test", contextWindow: 8000 }] } } },
    };
    const gateway = await scenario.gateway({ config });
    const program = process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert");
    const env = { ...scenario.environment(gateway.state), CULVERT_STATE_DIR: gateway.state, LSAN_OPTIONS: process.env.LSAN_OPTIONS ?? "" };
    const culvert = (...args) => scenario.run(program, [...args, "--token-file", path.join(gateway.state, "token.txt")], { env });

    const list = await culvert("call", "models.list");
    scenario.ok(list.out.includes('"id":"gpt-test"') && list.out.includes('"available":true'), "models.list names it", list);
    const auth = await culvert("call", "models.authStatus");
    scenario.ok(auth.out.includes('"provider":"mock"') && auth.out.includes('"status":"static"'), "models.authStatus knows its key", auth);
    const told = await culvert("agent", "-m", "culvert stream");
    scenario.ok(told.status === 0 && told.out.includes(TEXT), "culvert agent prints the answer", told);
    const before = mock.getRequests().length;
    await culvert("agent", "-m", "culvert limited");
    const asked = mock.getRequests().slice(before).find((entry) => entry.body?.messages)?.body.messages ?? [];
    scenario.ok(asked.some((m) => m.role === "assistant" && m.content === TEXT), "the next turn sends the conversation along", asked);
    const refused = await culvert("agent", "-m", "culvert refused");
    scenario.ok(refused.status !== 0 && refused.err.includes("models.providers.mock.apiKey"), "a refused key is said, with what to do", refused);
    const shown = [list, auth, told, refused].map((ran) => ran.out + ran.err).join("") + gateway.log();
    scenario.ok(!shown.includes(KEY), "the key is in no answer and not in the log");
}

// Runs culvert-model-drive once: {text, deltas, end, ms, err}.
function driver(scenario, mock) {
    const program = path.join(path.dirname(process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert")), "culvert-model-drive");
    if (!fs.existsSync(program)) throw new Skip(`${program} is not built`);
    const config = path.join(scenario.dir, "culvert.json");
    fs.writeFileSync(config, JSON.stringify({ models: { providers: { mock: { baseUrl: `${mock.url}/v1`, apiKey: KEY } } } }), { mode: 0o600 });
    const env = { ...scenario.environment(scenario.dir), LSAN_OPTIONS: process.env.LSAN_OPTIONS ?? "", ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? "" };
    return async (message, ...rest) => {
        const ran = await scenario.run(program, [config, "mock/gpt-test", JSON.stringify({ messages: [{ role: "user", content: message }] }), ...rest], { env });
        const lines = ran.out.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
        const end = lines.at(-1)?.end ? lines.at(-1) : { end: `no end (${ran.status}): ${ran.err}` };
        const texts = lines.filter((line) => line.text !== undefined).map((line) => line.text);
        scenario.ok(ran.status === (end.end === "ok" ? 0 : 1), `"${message}" leaves nothing behind`, ran.err);
        return { text: texts.join(""), deltas: texts.length, end, ms: ran.ms, err: ran.err };
    };
}
