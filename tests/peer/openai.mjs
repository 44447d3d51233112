// The published openai client talks to the gateway's /v1: models, chat completions and responses, whole and
// streamed, a tool's round trip by the client's own helper, and each failure as the client's own exception.
// The model behind the gateway is a small server in this file.
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { packages } from "./kit/scenario.mjs";

const TOKEN = "peer-secret-token";

export default async function (scenario) {
    const { default: OpenAI } = await import(pathToFileURL(path.join(packages("models"), "openai/index.mjs")));
    const model = await startModel(scenario);
    const gateway = await scenario.gateway({
        token: TOKEN,
        config: {
            gateway: { http: { endpoints: { chatCompletions: { enabled: true }, responses: { enabled: true } } } },
            agents: { defaults: { model: { primary: "local/m" }, maxConcurrent: 32 } },
            models: { providers: { local: { baseUrl: `${model.url}/v1`, apiKey: "k", api: "openai-completions", models: [{ id: "m" }] } } },
        },
    });
    const options = { apiKey: TOKEN, baseURL: `http://127.0.0.1:${gateway.port}/v1`, maxRetries: 0, timeout: 60_000 };
    const client = new OpenAI(options);

    await models(scenario, client, OpenAI);
    await chat(scenario, client);
    await chatTools(scenario, client, model);
    await responses(scenario, client);
    await responsesTools(scenario, client, model);
    await failures(scenario, client, OpenAI, options);
    await leaving(scenario, client, model);
    await crowd(scenario, client);
}

// ---- the model: what it says depends on the last message ----

async function startModel(scenario) {
    const model = { requests: [], gone: 0 };
    const server = http.createServer((request, response) => {
        let text = "";
        request.on("data", (part) => (text += part));
        request.on("end", () => {
            const body = JSON.parse(text);
            model.requests.push(body);
            response.on("close", () => (model.gone += response.writableFinished ? 0 : 1));
            answer(response, body);
        });
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    scenario.atEnd(() => new Promise((done) => (server.closeAllConnections(), server.close(done))));
    model.url = `http://127.0.0.1:${server.address().port}`;
    return model;
}

const lastText = (body) => {
    const content = body.messages.at(-1).content;
    return typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("");
};

function answer(response, body) {
    const text = lastText(body);
    const send = (choice, more = {}) => response.write(`data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", choices: choice ? [{ index: 0, ...choice }] : [], ...more })}\n\n`);
    const end = (finish_reason = "stop") => {
        send({ delta: {}, finish_reason });
        send(null, { usage: { prompt_tokens: 21, completion_tokens: 8, total_tokens: 29, prompt_tokens_details: { cached_tokens: 5 } } });
        response.end("data: [DONE]\n\n");
    };
    if (text.includes("FAIL")) {
        response.writeHead(400, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: { message: "the model refuses this", type: "invalid_request_error" } }));
        return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (/Tool:\S+: /.test(text)) {
        send({ delta: { content: `It is ${text.match(/Tool:\S+: (.*)$/s)[1]}.` } });
        end();
    } else if (text.includes("WEATHER")) {
        send({ delta: { content: "Let me look." } });
        send({ delta: { tool_calls: [{ index: 0, id: `call_${Math.random().toString(36).slice(2, 10)}`, type: "function", function: { name: "weather", arguments: "" } }] } });
        for (const part of ['{"ci', 'ty":"Be', 'rn"}']) send({ delta: { tool_calls: [{ index: 0, function: { arguments: part } }] } });
        end("tool_calls");
    } else if (text.includes("CUT")) {
        send({ delta: { content: "half of" } });
        setTimeout(() => response.destroy(), 100);
    } else if (text.includes("HANG")) {
        send({ delta: { content: "I am thinking" } });
    } else if (text.includes("LONG")) {
        send({ delta: { content: "as far as it goes" } });
        end("length");
    } else {
        for (const word of ["Hello", " from", " the", " model. Grüße 😀"]) send({ delta: { content: word } });
        end();
    }
}

const WORDS = "Hello from the model. Grüße 😀";
const user = (content) => [{ role: "user", content }];

// ---- models ----

async function models(scenario, client, OpenAI) {
    const ids = [];
    for await (const one of client.models.list()) ids.push(one.id);
    scenario.ok(["openclaw", "openclaw/default", "openclaw/main"].every((id) => ids.includes(id)), "models.list tells the agents", ids);
    const one = await client.models.retrieve("openclaw/main");
    scenario.ok(one.id === "openclaw/main" && one.object === "model", "models.retrieve", one);
    await throws(scenario, OpenAI.NotFoundError, () => client.models.retrieve("openclaw/nobody"), "an unknown model is NotFoundError");
}

// ---- chat completions ----

async function chat(scenario, client) {
    const whole = await client.chat.completions.create({ model: "openclaw", messages: user("hi") });
    scenario.ok(whole.choices[0].message.content === WORDS, "a whole chat completion", whole.choices[0]);
    scenario.ok(whole.choices[0].finish_reason === "stop" && whole.usage.total_tokens === 29 && whole.usage.prompt_tokens === 21, "finish and usage", whole.usage);

    const stream = await client.chat.completions.create({ model: "openclaw/default", messages: user("hi"), stream: true, stream_options: { include_usage: true } });
    let text = "", finish, usage, chunks = 0;
    for await (const chunk of stream) {
        chunks++;
        text += chunk.choices[0]?.delta?.content ?? "";
        finish = chunk.choices[0]?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
    }
    scenario.ok(text === WORDS && finish === "stop" && chunks >= 3, "a streamed chat completion", { text, finish, chunks });
    scenario.ok(usage?.total_tokens === 29 && usage.prompt_tokens_details.cached_tokens === 5, "usage at its end", usage);

    const helper = client.chat.completions.stream({ model: "openclaw", messages: user("hi") });
    scenario.ok((await helper.finalContent()) === WORDS, "the client's own stream helper");
    const long = await client.chat.completions.create({ model: "openclaw", messages: user("LONG") });
    scenario.ok(long.choices[0].finish_reason === "length", "finish_reason length", long.choices[0]);
}

const weather = {
    type: "function",
    function: {
        name: "weather", description: "The weather of a city.",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
};

async function chatTools(scenario, client, model) {
    const asked = [];
    const run = (stream) => client.chat.completions.runTools({
        model: "openclaw", stream, messages: user("WEATHER please"),
        tools: [{ ...weather, function: { ...weather.function, parse: JSON.parse, function: ({ city }) => (asked.push(city), `72F in ${city}`) } }],
    });
    for (const stream of [false, true]) {
        const text = await run(stream).finalContent();
        scenario.ok(/It is 72F in Bern\.?/.test(text), `a tool goes there and back${stream ? ", streamed" : ""}`, text);
    }
    scenario.ok(asked.join() === "Bern,Bern", "the client ran its tool", asked);
    scenario.ok(model.requests.at(-1).tools.some((tool) => tool.function.name === "weather"), "the model was told of it");
}

// ---- responses ----

async function responses(scenario, client) {
    const whole = await client.responses.create({ model: "openclaw", input: "hi", instructions: "Be kind." });
    scenario.ok(whole.output_text === WORDS && whole.status === "completed", "a whole response", whole);
    scenario.ok(whole.usage.input_tokens === 21 && whole.usage.input_tokens_details.cached_tokens === 5, "its usage", whole.usage);

    const next = await client.responses.create({ model: "openclaw", input: [{ role: "user", content: [{ type: "input_text", text: "and again" }] }], previous_response_id: whole.id });
    scenario.ok(next.output_text === WORDS && next.previous_response_id === whole.id, "a response goes on from another", next);

    const types = [];
    let text = "", last = -1, rising = true;
    for await (const event of await client.responses.create({ model: "openclaw", input: "hi", stream: true })) {
        if (types.at(-1) !== event.type) types.push(event.type);
        rising &&= event.sequence_number === ++last;
        text += event.type === "response.output_text.delta" ? event.delta : "";
    }
    scenario.ok(text === WORDS && rising, "a streamed response", text);
    scenario.ok(types.join() === ["created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done", "completed"].map((name) => `response.${name}`).join(), "the order of its events", types);
    const final = await client.responses.stream({ model: "openclaw", input: "hi" }).finalResponse();
    scenario.ok(final.output_text === WORDS, "the client's own helper", final);
    const long = await client.responses.create({ model: "openclaw", input: "LONG" });
    scenario.ok(long.status === "incomplete" && long.incomplete_details.reason === "max_output_tokens", "an incomplete response", long);
}

async function responsesTools(scenario, client) {
    const tools = [{ type: "function", name: "weather", description: "d", strict: false, parameters: weather.function.parameters }];
    const first = await client.responses.create({ model: "openclaw", input: "WEATHER please", tools });
    const call = first.output.find((item) => item.type === "function_call");
    scenario.ok(call?.name === "weather" && call.arguments === '{"city":"Bern"}', "a function call", first.output);
    const second = await client.responses.create({
        model: "openclaw", tools, previous_response_id: first.id,
        input: [{ type: "function_call_output", call_id: call.call_id, output: "72F" }],
    });
    scenario.ok(second.output_text === "It is 72F.", "its output goes back by previous_response_id", second.output);
    const third = await client.responses.create({
        model: "openclaw", tools,
        input: [{ role: "user", content: "WEATHER please" }, ...first.output, { type: "function_call_output", call_id: call.call_id, output: "73F" }],
    });
    scenario.ok(third.output_text === "It is 73F.", "or with the conversation sent again", third.output);

    const seen = [];
    const stream = client.responses.stream({ model: "openclaw", input: "WEATHER please", tools });
    stream.on("event", (event) => seen.push(event.type));
    const final = await stream.finalResponse();
    const streamed = final.output.find((item) => item.type === "function_call");
    scenario.ok(streamed?.arguments === '{"city":"Bern"}', "a streamed function call", final.output);
    scenario.ok(seen.includes("response.function_call_arguments.delta") && seen.includes("response.function_call_arguments.done"), "its arguments' events", seen);
}

// ---- failures ----

async function throws(scenario, kind, run, what) {
    try {
        const result = await run();
        if (result?.[Symbol.asyncIterator]) for await (const _ of result);
        scenario.ok(false, what, result);
    } catch (error) {
        scenario.ok(error instanceof kind && error.message.length > 10, what, `${error.constructor.name}: ${error.message}`);
        return error;
    }
}

async function failures(scenario, client, OpenAI, options) {
    const chat = (body, from = client) => from.chat.completions.create({ model: "openclaw", messages: user("hi"), ...body });
    await throws(scenario, OpenAI.AuthenticationError, () => chat({}, new OpenAI({ ...options, apiKey: "wrong" })), "a wrong key is AuthenticationError");
    await throws(scenario, OpenAI.PermissionDeniedError, () => chat({}, new OpenAI({ ...options, defaultHeaders: { origin: "https://evil.example" } })), "a page of another origin is PermissionDeniedError");
    await throws(scenario, OpenAI.BadRequestError, () => chat({ messages: [] }), "no message is BadRequestError");
    await throws(scenario, OpenAI.BadRequestError, () => chat({ model: "gpt-4o" }), "a model that is none of ours is BadRequestError");
    await throws(scenario, OpenAI.BadRequestError, () => client.responses.create({ model: "openclaw", input: 7 }), "so is an input of the wrong kind");
    await throws(scenario, OpenAI.BadRequestError, () => client.responses.create({ model: "openclaw", input: "x", previous_response_id: "resp_none" }), "and a previous response nobody knows");
    await throws(scenario, OpenAI.NotFoundError, () => client.embeddings.create({ model: "openclaw", input: "x" }), "embeddings, which no model here has, are NotFoundError");
    const failed = await throws(scenario, OpenAI.APIError, () => chat({ messages: user("FAIL") }), "a refusal of the model is an APIError");
    scenario.ok(failed?.message.includes("the model refuses this"), "which says why", failed?.message);
    await throws(scenario, OpenAI.APIError, () => chat({ messages: user("CUT"), stream: true }), "a stream that breaks is an APIError");
    await throws(scenario, OpenAI.APIError, async () => {
        for await (const event of await client.responses.create({ model: "openclaw", input: "CUT", stream: true }))
            if (event.type === "response.failed") throw new OpenAI.APIError(500, event.response.error, event.response.error.message, undefined);
    }, "a response that breaks ends with response.failed");
}

// ---- clients that leave, many at once ----

async function leaving(scenario, client, model) {
    const before = model.gone;
    const stream = await client.chat.completions.create({ model: "openclaw", messages: user("HANG"), stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta?.content) break; // leaves: the client aborts
    await scenario.until("the model server to lose its client", () => model.gone > before);
    scenario.ok(true, "a stream that is left stops the model's transfer");
    const controller = new AbortController(), sofar = model.requests.length;
    const waiting = client.responses.create({ model: "openclaw", input: "HANG" }, { signal: controller.signal }).catch((error) => error);
    await scenario.until("the request to arrive", () => model.requests.length > sofar);
    controller.abort();
    await waiting;
    await scenario.until("the model server to lose it too", () => model.gone > before + 1);
    scenario.ok(true, "so does a request that is given up");
}

async function crowd(scenario, client) {
    const all = await Promise.all(Array.from({ length: 40 }, async () => {
        let text = "";
        for await (const chunk of await client.chat.completions.create({ model: "openclaw", messages: user("hi"), stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
        return text;
    }));
    scenario.ok(all.every((text) => text === WORDS), "40 streams at once", all.find((text) => text !== WORDS));
}
