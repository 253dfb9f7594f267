// Checks of one run: each gives its problems, is told in one line, and counted; the run ends in time, whatever happens.
'use strict';

const { isDeepStrictEqual } = require('node:util');

const tally = { passed: 0, failed: 0 };

function short(value) {
  const line = JSON.stringify(value) ?? String(value);
  return line.length > 200 ? `${line.slice(0, 200)}… (${line.length} characters)` : line;
}

// Problems: none when both are alike.
function differ(what, got, expected) {
  return isDeepStrictEqual(got, expected) ? [] : [`${what}: ${short(got)}, expected ${short(expected)}`];
}

// One check: it passed when neither it nor what cleans up after it gives problems. What they throw is one.
async function check(name, run, cleanUp = async () => []) {
  const problems = await run().catch((error) => [error.stack]);
  problems.push(...await cleanUp().catch((error) => [error.stack]));
  tally[problems.length ? 'failed' : 'passed'] += 1;
  console.log(`${problems.length ? 'FAILED' : 'ok'} ${name}`);
  problems.slice(0, 20).forEach((problem) => console.log(`    ${problem}`));
}

// What was given on the command line: the kind of the browser, and the paths of relay and browser.
function programs(name) {
  const given = process.argv.slice(2);
  const kind = given.includes('--firefox') ? 'firefox' : 'chromium';
  const paths = given.filter((argument) => argument !== '--firefox');
  if (paths.length !== 2) {
    console.error(`usage: node ${name} [--firefox] RELAY BROWSER`);
    process.exit(2);
  }
  return { kind, binary: paths[0], executable: paths[1] };
}

// Runs `main`, tells the time and the sums, and exits. At exit relays and browsers are killed, whatever they are at.
function conclude(secs, main) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));
  setTimeout(() => {
    console.log(`FAILED the run: not within ${secs} s`);
    process.exit(1);
  }, secs * 1000).unref();
  const began = Date.now();
  main()
    .catch((error) => check('the run', () => Promise.reject(error)))
    .finally(() => {
      console.log(`${((Date.now() - began) / 1000).toFixed(1)} s`);
      console.log(`${tally.passed} passed, ${tally.failed} failed`);
      process.exit(tally.failed || !tally.passed ? 1 : 0);
    });
}

module.exports = { check, conclude, differ, programs, short };
