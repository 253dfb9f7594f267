// What Node's test runner tells, in the words of the other stages: a line for each test, and the closing line.
//
// Promises a failure when a file holds no test, or none ran at all.

import { inspect } from 'node:util';

function* linesOf({ type, data }, tally) {
  if (data.details?.type === 'suite' || !['test:pass', 'test:fail'].includes(type)) return;
  // A file without tests is told as a test of its name.
  const isTest = data.name !== data.file && data.skip === undefined && data.todo === undefined;
  const passed = type === 'test:pass' && isTest;
  if (!passed) process.exitCode = 1;
  tally[passed ? 'passed' : 'failed'] += 1;
  yield `${passed ? 'ok' : 'FAILED'} ${data.name}\n`;
  if (passed) return;
  const { error } = data.details;
  yield `${inspect(error?.cause ?? error ?? 'no test ran').split('\n').slice(0, 30).map((line) => `    ${line}`).join('\n')}\n`;
}

export default async function* report(events) {
  const tally = { passed: 0, failed: 0 };
  for await (const event of events) {
    yield* linesOf(event, tally);
    if (event.type === 'test:stdout' || event.type === 'test:stderr') yield event.data.message;
  }
  if (tally.passed + tally.failed === 0) {
    tally.failed = 1;
    process.exitCode = 1;
  }
  yield `${tally.passed} passed, ${tally.failed} failed\n`;
}
