// aimock speaks Anthropic Messages, Chat Completions, Responses and Ollama. The vendors' own clients show first
// that it is honest; then the gateway's model code takes their place, the same story for each API: text,
// thinking, a round trip through a tool, 429, 529, malformed answers and disconnects, fallback to another.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Skip, TOP, packages } from "./kit/scenario.mjs";

const KEY = "sk-peer-secret";
const TEXT = "The quick brown fox jumps over the lazy dog. Café 😀 done.";
const TOOLS = [{ name: "weather", description: "The weather.", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];
const APIS = {
    anthropic: { api: "anthropic-messages", path: "/v1/messages", base: "" },
    openai: { api: "openai-completions", path: "/v1/chat/completions", base: "/v1" },
    responses: { api: "openai-responses", path: "/v1/responses", base: "/v1" },
    ollama: { api: "ollama", path: "/api/chat", base: "", bare: true }, // aimock tells no usage and no thinking here, and calls in one line
};

export default async function (scenario) {
    const modules = packages("models");
    const load = (file) => import(pathToFileURL(path.join(modules, file)));
    const { LLMock } = await load("@copilotkit/aimock/dist/index.js");
    if (!fs.existsSync(path.join(modules, "@anthropic-ai/sdk"))) throw new Skip("the npm set models is not the one of this tree");
    const mock = new LLMock({ port: 0, host: "127.0.0.1", strict: true, logLevel: "silent" });
    for (const who of ["vendor", ...Object.keys(APIS)]) mock.addFixtures(fixtures(who));
    await mock.start();
    scenario.atEnd(() => mock.stop());
    await vendorsAgree(scenario, mock, load);
    const drive = driver(scenario, mock);
    for (const name of Object.keys(APIS)) await story(scenario, mock, name, drive);
    await fallsBack(scenario, mock, drive);
    await chaos(scenario, mock, drive);
}

function fixtures(who) {
    const error = (status, type, extra = {}) => ({ error: { message: `told ${status}`, type }, status, ...extra });
    const on = (word, response, opts = {}, more = {}) => ({ match: { userMessage: `${who} ${word}`, ...more }, response, ...opts });
    const call = { name: "weather", arguments: JSON.stringify({ city: "Köln", days: [1, 2] }) };
    return [
        on("stream", { content: TEXT, usage: { prompt_tokens: 12, completion_tokens: 9, input_tokens: 12, output_tokens: 9 } }, { chunkSize: 7, latency: 2 }),
        on("think", { content: "So it is.", reasoning: "Let me think about it." }, { chunkSize: 5 }),
        on("call", { toolCalls: [call, { ...call, arguments: "{}" }] }, { chunkSize: 4 }, { hasToolResult: false }),
        on("call", { content: "It rains in Köln." }, {}, { hasToolResult: true }),
        on("limited", error(429, "rate_limit_error", { retryAfter: 1 }), {}, { sequenceIndex: 0 }),
        on("limited", { content: "after the limit" }, {}, { sequenceIndex: 1 }),
        on("overloaded", error(529, "overloaded_error"), {}, { sequenceIndex: 0 }),
        on("overloaded", { content: "after the load" }, {}, { sequenceIndex: 1 }),
        on("busy", error(529, "overloaded_error")),
        on("refused", { error: { message: `invalid key: ${KEY}`, type: "authentication_error", code: "invalid_api_key" }, status: 401 }),
        on("cut", { content: TEXT }, { chunkSize: 5, latency: 5, truncateAfterChunks: 10 }),
        on("gone", { content: TEXT }, { chunkSize: 5, latency: 30, disconnectAfterMs: 250 }),
        on("half call", { toolCalls: [call] }, { chunkSize: 3, latency: 5, truncateAfterChunks: 6 }),
        on("only one can", { error: { message: "no", type: "authentication_error" }, status: 401 }, {}, { model: "m" }),
        on("only one can", { content: "I can." }, {}, { model: "n" }),
        on("malformed", { content: TEXT }, { chaos: { malformedRate: 1 } }),
        on("hung up", { content: TEXT }, { chaos: { disconnectRate: 1 } }),
    ];
}

// ---- the vendors' clients ----

async function vendorsAgree(scenario, mock, load) {
    const { default: Anthropic } = await load("@anthropic-ai/sdk/index.mjs");
    const { default: OpenAI } = await load("openai/index.mjs");
    const { Ollama } = await load("ollama/dist/index.mjs");
    const user = (word) => [{ role: "user", content: `vendor ${word}` }];

    const anthropic = new Anthropic({ apiKey: KEY, baseURL: mock.url, maxRetries: 0 });
    const told = await anthropic.messages.stream({ model: "m", max_tokens: 100, messages: user("stream") }).finalMessage();
    scenario.ok(told.content[0]?.text === TEXT && told.stop_reason === "end_turn", "Anthropic's client reads its stream", told);
    const used = await anthropic.messages.stream({
        model: "m", max_tokens: 100, messages: user("call"), tools: TOOLS.map(({ parameters, ...tool }) => ({ ...tool, input_schema: parameters })),
    }).finalMessage();
    scenario.ok(used.stop_reason === "tool_use" && used.content.at(-2)?.input?.city === "Köln", "… and a tool call", used);

    const openai = new OpenAI({ apiKey: KEY, baseURL: `${mock.url}/v1`, maxRetries: 0 });
    const answer = await openai.responses.create({ model: "m", input: user("stream") });
    scenario.ok(answer.output_text === TEXT, "OpenAI's client reads a response", answer.output_text);

    const ollama = new Ollama({ host: mock.url });
    let text = "";
    for await (const part of await ollama.chat({ model: "m", messages: user("stream"), stream: true })) text += part.message.content;
    scenario.ok(text === TEXT, "Ollama's client reads the lines", text);
    mock.resetMatchCounts();
}

// ---- one API ----

async function story(scenario, mock, name, drive) {
    const ask = (word, more) => drive(name, { messages: [{ role: "user", content: `${name} ${word}` }], ...more });
    const count = () => mock.getRequests().filter((entry) => entry.path.endsWith(APIS[name].path)).length;
    const ok = (value, what, seen) => scenario.ok(value, `${name}: ${what}`, seen);

    let seen = await ask("stream");
    ok(seen.text === TEXT && seen.deltas > 3 && seen.end.stopReason === "stop", "the stream arrives whole, in pieces", seen);
    if (!APIS[name].bare) ok(seen.end.input === 12 && seen.end.output === 9, "… with its usage", seen.end);
    ok(seen.end.content?.at(-1)?.text === TEXT, "… and as content", seen.end);

    seen = await ask("think", { thinking: "low" });
    ok(seen.text === "So it is.", "a model that may think answers", seen);
    if (!APIS[name].bare) ok(seen.thinking === "Let me think about it." && seen.end.content?.[0]?.type === "thinking", "… and its thinking is told apart and kept", seen);
    if (name === "anthropic") ok(seen.end.content[0].thinkingSignature?.length > 0, "… with its signature", seen.end);

    await roundTrip(scenario, mock, name, drive, ok);

    let before = count();
    seen = await ask("limited");
    ok(seen.text === "after the limit" && count() - before === 2 && seen.ms >= 950, "a rate limit is waited out", seen);
    before = count();
    seen = await ask("overloaded");
    ok(seen.text === "after the load" && count() - before === 2, "529 is asked again", seen);
    before = count();
    seen = await ask("refused");
    ok(seen.end.end === "AUTH" && count() - before === 1 && !JSON.stringify(seen).includes(KEY), "a refused key is said once, without it", seen);
    for (const word of ["cut", "gone"]) {
        before = count();
        seen = await ask(word);
        ok(seen.end.end === "CLOSED" && seen.text.length > 0 && TEXT.startsWith(seen.text) && count() - before === 1, `a stream that is ${word} keeps its text and says so`, seen);
    }
}

// The call, its results (one is missing), and the answer that had to see them.
async function roundTrip(scenario, mock, name, drive, ok) {
    const messages = [{ role: "user", content: `${name} call` }];
    const called = await drive(name, { messages, tools: TOOLS });
    const calls = (called.end.content ?? []).filter((part) => part.type === "toolCall");

    ok(called.end.stopReason === "toolUse" && calls.length === 2, "tools are called", called);
    ok(JSON.stringify(calls[0]?.arguments) === '{"city":"Köln","days":[1,2]}' && JSON.stringify(calls[1]?.arguments) === "{}", "… with whole arguments", calls);
    ok(calls[0]?.id && calls[1]?.id && calls[0].id !== calls[1].id, "… and ids of their own", calls);
    messages.push({ role: "assistant", content: called.end.content });
    messages.push({ role: "toolResult", toolCallId: calls[0]?.id, toolName: "weather", content: [{ type: "text", text: "rain" }], isError: false });
    const done = await drive(name, { messages, tools: TOOLS });
    ok(done.text === "It rains in Köln." && done.end.stopReason === "stop", "the result goes back and is answered", done);
    const sent = JSON.stringify(mock.getRequests().at(-1)?.body ?? {});
    ok(sent.includes("rain") && sent.includes("no result: interrupted"), "… and a result that never came is said", sent);
}

// ---- several ----

async function fallsBack(scenario, mock, drive) {
    const seen = await drive("openai", { messages: [{ role: "user", content: "openai only one can" }], fallbacks: ["nobody/x", "anthropic/n", "ollama/m"] });
    scenario.ok(seen.text === "I can." && seen.end.provider === "anthropic" && seen.end.model === "n", "another model answers when the first cannot", seen);
}

async function chaos(scenario, mock, drive) {
    for (const name of Object.keys(APIS)) {
        for (const word of ["half call", "malformed", "hung up"]) {
            if (word === "half call" && APIS[name].bare) continue;
            const seen = await drive(name, { messages: [{ role: "user", content: `${name} ${word}` }], tools: TOOLS, timeout: 1200 });
            scenario.ok(seen.end.end !== "ok" && seen.end.fault && !seen.end.content, `${name}: ${word} ends with a sentence and nothing half done`, seen);
        }
    }
}

// Runs culvert-model-drive once: {text, thinking, deltas, end, ms, err}.
function driver(scenario, mock) {
    const program = path.join(path.dirname(process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert")), "culvert-model-drive");
    if (!fs.existsSync(program)) throw new Skip(`${program} is not built`);
    const config = path.join(scenario.dir, "culvert.json");
    const providers = Object.fromEntries(Object.entries(APIS).map(([name, row]) => [name, {
        api: row.api, baseUrl: mock.url + row.base, apiKey: KEY, models: [{ id: "m", reasoning: true, maxTokens: 20000 }],
    }]));
    fs.writeFileSync(config, JSON.stringify({ models: { providers } }), { mode: 0o600 });
    const env = { ...scenario.environment(scenario.dir), LSAN_OPTIONS: process.env.LSAN_OPTIONS ?? "", ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? "" };
    return async (name, request) => {
        const ran = await scenario.run(program, [config, `${name}/m`, JSON.stringify(request)], { env });
        const lines = ran.out.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
        const end = lines.at(-1)?.end ? lines.at(-1) : { end: `no end (${ran.status}): ${ran.err}` };
        const pick = (what) => lines.filter((line) => line[what] !== undefined && !line.end).map((line) => line[what]);
        scenario.ok(ran.status === (end.end === "ok" ? 0 : 1), `"${request.messages.at(-1).content?.[0]?.text ?? request.messages[0].content}" leaves nothing behind`, ran.err);
        return { text: pick("text").join(""), thinking: pick("thinking").join(""), deltas: pick("text").length, end, ms: ran.ms, err: ran.err };
    };
}
