// What an administrator, a member of staff and their browser do in .ci/federation: register the issuer, link the account, sign in
// through the pages of oidc-provider, call the platform with the token, and try the same answer again.
//
//   node browser.mjs STACK ISSUER REDIRECT_URI ADMIN_TOKEN DEMO_JSON
//
// Fails at the first answer that is not the expected one.

import { strict as assert } from 'node:assert';
import { createHmac, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [stack, issuer, redirectUri, admin, demo] = process.argv.slice(2);
const clerk = JSON.parse(readFileSync(demo, 'utf8')).accounts.find((account) => account.name === 'clerk');
const ISSUER_SUBJECT = 'staff-0042';

async function call(method, path, { token, body } = {}) {
  const headers = { 'content-type': 'application/json' };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(`${stack}${path}`, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

async function done(method, path, options) {
  const { status, body } = await call(method, path, options);
  assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`);
  return body;
}

async function refused(path, body, reason) {
  const answer = await call('POST', path, { body });
  assert.notEqual(answer.status, 200, path);
  assert.ok(JSON.stringify(answer.body).includes(reason), `${path}: ${JSON.stringify(answer.body)}`);
  console.log(`refused with ${answer.status} ${reason}`);
}

/** A browser: keeps cookies, follows redirects by hand, stops where the issuer sends it back. */
class Browser {
  #cookies = new Map();

  async go(url, form) {
    let at = new URL(url);
    let body = form;
    for (let step = 0; step < 20; step += 1) {
      if (at.href.startsWith(redirectUri)) return { back: at };
      const headers = { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
      const method = body ? 'POST' : 'GET';
      const response = await fetch(at, { method, headers, body: body && new URLSearchParams(body), redirect: 'manual' });
      for (const cookie of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
        if (value) this.#cookies.set(name, value);
        else this.#cookies.delete(name);
      }
      body = undefined;
      const location = response.headers.get('location');
      const page = await response.text();
      if (!location) {
        assert.equal(response.status, 200, `${at}: ${page}`);
        return { at, page };
      }
      at = new URL(location, at);
    }
    throw new Error('too many redirects');
  }
}

/** The address to which a form of a page is sent. */
function action({ at, page }) {
  const found = /<form[^>]* action="([^"]+)"/.exec(page);
  assert.ok(found, page);
  return new URL(found[1], at).href;
}

async function begin() {
  return done('POST', '/v1/signIn:beginFederated', { body: { issuer, redirectUri } });
}

/** Through sign-in and consent; what the platform is told of the answer. */
async function signInAtIssuer({ authorizationUrl, binding }, secondFactor) {
  const browser = new Browser();
  const login = await browser.go(authorizationUrl);
  assert.ok(login.page.includes('Sign-in'), login.page);
  const form = { prompt: 'login', login: ISSUER_SUBJECT, password: 'any' };
  const page = secondFactor ? `${action(login)}/with-second-factor` : action(login);
  const consent = await browser.go(page, form);
  assert.ok(consent.page?.includes('value="consent"'), consent.page ?? consent.back.href);
  const { back } = await browser.go(action(consent), { prompt: 'consent' });
  const parameters = Object.fromEntries(back.searchParams);
  assert.equal(parameters.iss, issuer);
  return { code: parameters.code, state: parameters.state, iss: parameters.iss, binding, redirectUri: back.origin + back.pathname };
}

/** The code that an authenticator shows now (RFC 6238). */
function oneTimeCode(secret) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret.replace(/=+$/, '')].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)));
  const mac = createHmac('sha1', key).update(step).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1000000).padStart(6, '0');
}

const { account } = await done('GET', `/v1/accounts/${clerk.id}`, { token: admin });
const registered = await done('POST', '/v1/issuers', {
  token: admin,
  body: {
    requestId: randomUUID(),
    issuer,
    settings: {
      title: 'Cổng xác thực của phường',
      clientId: 'egov',
      clientAuthentication: 'CLIENT_AUTHENTICATION_PRIVATE_KEY_JWT',
      redirectUris: [redirectUri],
      unitIds: [account.unitId],
      algorithms: ['ID_TOKEN_ALGORITHM_ES256'],
      secondFactorAmr: ['otp'],
      maxAuthAgeSeconds: 600,
    },
  },
});
const { issuerId } = registered.issuer;
console.log(`registered ${issuer} for unit ${account.unitId}`);

const early = await signInAtIssuer(await begin(), true);
await refused('/v1/signIn:completeFederated', early, 'IDENTITY_NOT_LINKED');

await done('POST', `/v1/accounts/${clerk.id}/identities`, {
  token: admin,
  body: { requestId: randomUUID(), issuerId, subject: ISSUER_SUBJECT },
});
console.log('linked the clerk');

// The issuer says that a second factor was used: tokens at once.
const answer = await signInAtIssuer(await begin(), true);
const { tokens } = await done('POST', '/v1/signIn:completeFederated', { body: answer });
const token = tokens.accessToken;
const own = await done('GET', `/v1/accounts/${clerk.id}`, { token });
assert.equal(own.account.username, 'clerk');
const { sessions } = await done('GET', '/v1/sessions', { token });
assert.equal(sessions.filter((session) => session.current).length, 1);
console.log('signed in with the second factor of the issuer; ListMySessions and GetAccount answer');

// The same answer again; its code under another state; another browser's binding.
await refused('/v1/signIn:completeFederated', answer, 'FEDERATED_STATE_REFUSED');
const other = await begin();
const state = new URL(other.authorizationUrl).searchParams.get('state');
await refused('/v1/signIn:completeFederated', { ...answer, state, binding: other.binding }, 'CODE_REFUSED');
const mine = await signInAtIssuer(await begin(), true);
await refused('/v1/signIn:completeFederated', { ...mine, binding: other.binding }, 'FEDERATED_STATE_REFUSED');
await refused('/v1/signIn:completeFederated', { ...mine, redirectUri: 'https://elsewhere.test/' }, 'FEDERATED_STATE_REFUSED');
await refused('/v1/signIn:completeFederated', { ...mine, iss: 'https://evil.test' }, 'ID_TOKEN_REFUSED');

// The pages of oidc-provider alone know a password only: our one-time code follows.
const half = await done('POST', '/v1/signIn:completeFederated', { body: await signInAtIssuer(await begin(), false) });
assert.ok(half.challenge && !half.tokens, JSON.stringify(half));
const whole = await done('POST', '/v1/signIn:verifyTotp', {
  body: { challenge: half.challenge, totpCode: oneTimeCode(clerk.totp_secret) },
});
await done('GET', '/v1/sessions', { token: whole.tokens.accessToken });
console.log('signed in with the password of the issuer and the one-time code of the platform');

// Disabled: nobody begins, and the session of the second factor is over.
await done('POST', `/v1/issuers/${issuerId}:disable`, {
  token: admin,
  body: { requestId: randomUUID(), reason: 'hết lượt thử', etag: registered.issuer.etag },
});
await refused('/v1/signIn:beginFederated', { issuer, redirectUri }, 'ISSUER_DISABLED');
const after = await call('GET', '/v1/sessions', { token });
assert.equal(after.status, 401, JSON.stringify(after.body));
console.log('disabled: its sessions are over');
