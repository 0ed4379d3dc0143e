// redocly: docs/openapi.json by Redocly's rules (redocly.yaml). Its library, not its command, which brings a web server and telemetry.
import { fileURLToPath } from 'node:url';
import core from '@redocly/openapi-core';

const here = name => fileURLToPath(new URL(name, import.meta.url));
const config = await core.loadConfig({ configPath: here('redocly.yaml') });
const problems = await core.lint({ ref: here('../openapi.json'), config });
for (const { ruleId, severity, message, location: [at] } of problems) console.log(`docs/openapi.json${at.pointer ?? ''}: ${severity}: ${message} (${ruleId})`);
process.exitCode = problems.length ? 1 : 0;
