// Good values of a JSON Schema, and neighbours of them that may be bad: each place in turn replaced by
// something of another type, at or past a limit, or left out. The same every time.
const JUNK = [null, true, false, 0, -1, 1.5, 1e300, 9007199254740991, "", " ", "x", "\u00e9\u{1f600}", [], ["x"], [1, null], {}, { zz: 1 }];

const typeOf = (schema) => (Array.isArray(schema.type) ? schema.type.find((t) => t !== "null") : schema.type);

export function good(schema, full) {
    if ("const" in schema) return schema.const;
    if (schema.enum) return schema.enum.find((value) => value !== null);
    const choice = schema.anyOf ?? schema.oneOf;
    if (choice) return good(choice.find((s) => s.type !== "null") ?? choice[0], full);
    switch (typeOf(schema)) {
        case "string": return "a".repeat(Math.max(1, schema.minLength ?? 1));
        case "integer": return Math.max(schema.minimum ?? 1, Math.min(1, schema.maximum ?? 1));
        case "number": return Math.max(schema.minimum ?? 0.5, Math.min(0.5, schema.maximum ?? 0.5));
        case "boolean": return true;
        case "array": return full && schema.items ? [good(schema.items, false)] : [];
        case "object": return goodObject(schema, full);
        default: return "anything";
    }
}

function goodObject(schema, full) {
    const keys = full ? Object.keys(schema.properties ?? {}) : (schema.required ?? []);
    const value = Object.fromEntries(keys.map((key) => [key, good(schema.properties?.[key] ?? {}, full)]));
    if (full && typeof schema.additionalProperties === "object") value.any = good(schema.additionalProperties, full);
    return value;
}

// Values worth trying in one place: every type, and both sides of each limit.
function candidates(schema) {
    const list = [...JUNK, ...(schema.enum ?? [])];
    for (const key of ["minimum", "maximum"]) {
        if (schema[key] !== undefined) list.push(schema[key], schema[key] - 1, schema[key] + 1);
    }
    if (schema.maxLength !== undefined && schema.maxLength <= 200_000) {
        list.push("b".repeat(schema.maxLength), "b".repeat(schema.maxLength + 1), "\u{1f600}".repeat(schema.maxLength), "\u{1f600}".repeat(schema.maxLength + 1));
    }
    if (schema.maxItems !== undefined && schema.maxItems <= 20_000) {
        for (const length of [schema.maxItems, schema.maxItems + 1]) list.push(new Array(length).fill(good(schema.items ?? {}, false)));
    }
    return list.filter((value) => typeof value !== "number" || Math.abs(value) <= Number.MAX_SAFE_INTEGER || !Number.isInteger(value) || value === 1e300);
}

export function* variants(schema) {
    const full = good(schema, true);
    yield good(schema, false);
    yield full;
    yield { ...full, anUnknownKey: 1 };
    for (const [where, part] of places(schema, [], 0)) {
        yield changed(full, where, undefined);
        for (const value of candidates(part)) yield changed(full, where, value);
    }
}

function* places(schema, where, depth) {
    if (depth > 2) return;
    for (const [key, part] of Object.entries(schema.properties ?? {})) {
        yield [[...where, key], part];
        yield* places(part, [...where, key], depth + 1);
    }
    if (schema.items && where.length) {
        yield [[...where, 0], schema.items];
        yield* places(schema.items, [...where, 0], depth + 1);
    }
}

function changed(value, [key, ...rest], replacement) {
    if (value === null || typeof value !== "object") return value;
    const copy = Array.isArray(value) ? [...value] : { ...value };
    if (rest.length) copy[key] = changed(copy[key], rest, replacement);
    else if (replacement === undefined) Array.isArray(copy) ? copy.splice(key, 1) : delete copy[key];
    else copy[key] = replacement;
    return copy;
}
