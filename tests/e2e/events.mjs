// What events look like: docs/events.schema.json, and whether one that was received keeps to it.
import fs from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

export const schema = JSON.parse(fs.readFileSync(new URL('../../docs/events.schema.json', import.meta.url), 'utf8'));
/** Every type that is described. */
export const types = schema.oneOf.map(({ $ref }) => $ref.replace('#/$defs/', ''));

const ajv = addFormats(new Ajv2020({ allErrors: true, allowUnionTypes: true, strictRequired: true })).addSchema(schema, 'events');
const validators = new Map(types.map(type => [type, ajv.getSchema(`events#/$defs/${type}`)]));

/** What is wrong with an event, each with its path; none: undefined. */
export function faults(event) {
    const validate = validators.get(event?.type);
    if (!validate) return `an event of type ${JSON.stringify(event?.type)}, which docs/events.schema.json does not describe`;
    if (validate(event)) return undefined;
    return `${event.type}: ${validate.errors.map(e => `${e.instancePath || '/'} ${e.message}${e.params.additionalProperty ? ` (${e.params.additionalProperty})` : ''}`).join('; ')} in ${JSON.stringify(event)}`;
}

const found = [];
/** Looks at an event that a test was sent; what is wrong with it fails that test (lib.mjs: until(), after each test, Kiln.end()). */
export function check(event, more) {
    const wrong = faults(event) ?? more;
    if (wrong && found.length < 20) found.push(wrong);
}
export function fail_if_wrong() {
    if (found.length) throw new Error(`events that do not keep to their schema:\n${found.splice(0).join('\n')}`);
}
