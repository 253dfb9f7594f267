// Tokens for tests (JWT, HS256), and a relay's configuration that takes them. Owns a secret of its own in a file.
//
// Promises that the file is gone when this process exits.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const encoded = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');

class Issuer {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsrelayd-issuer-'));
    process.once('exit', () => fs.rmSync(this.folder, { recursive: true, force: true }));
    this.secret = crypto.randomBytes(32).toString('hex');
    const file = path.join(this.folder, 'tests.key');
    fs.writeFileSync(file, this.secret, { mode: 0o600 });
    // The line for the configuration.
    this.setting = `token_keys = [${JSON.stringify(file)}]\n`;
  }

  // One with these claims, which holds for so many seconds, fractions of one included.
  token(secs, claims) {
    const signed = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded({ exp: Date.now() / 1000 + secs, ...claims })}`;
    return `${signed}.${crypto.createHmac('sha256', this.secret).update(signed).digest('base64url')}`;
  }
}

module.exports = { Issuer };
