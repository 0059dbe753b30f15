// An OpenID Connect issuer of an agency for .ci/federation: the npm package oidc-provider on the loopback address, with its own
// pages for sign-in and consent, and one page more, which signs somebody in with a second factor.
//
//   node issuer.mjs STACK REDIRECT_URI READY
//
// writes its URL into the file READY once it answers.

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

import Provider from 'oidc-provider';

const [stack, redirectUri, ready] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const server = createServer();

server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'egov',
        redirect_uris: [redirectUri],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks_uri: `${stack}/.well-known/federation-jwks.json`,
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'sso-1', use: 'sig', alg: 'ES256' }] },
    cookies: { keys: ['of this run only'] },
    claims: { openid: ['sub', 'amr'], acr: null, auth_time: null },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    // The package's own dispatcher closes every connection to this machine; the platform's keys are there.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  });
  provider.use(async (ctx, next) => {
    const page = /^\/interaction\/[^/]+\/with-second-factor$/.test(ctx.path);
    if (ctx.method !== 'POST' || !page) return next();
    const accountId = new URLSearchParams(await text(ctx.req)).get('login');
    const login = { accountId, amr: ['pwd', 'otp'] };
    ctx.respond = false;
    return provider.interactionFinished(ctx.req, ctx.res, { login }, { mergeWithLastSubmission: false });
  });
  provider.on('server_error', (_, error) => console.error(error));
  provider.on('grant.error', (_, error) => console.log('refused:', error.message, error.error_description, error.cause ?? ''));
  server.on('request', provider.callback());
  writeFileSync(ready, issuer);
});
