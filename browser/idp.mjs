// An OpenID provider of an organisation, on the loopback interface: whoever comes is asked for their
// address, and vouched for.
import { createServer } from 'node:http';
import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto';

export async function provider() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const codes = new Map();
  let issuer = '';
  const b64 = (v) => Buffer.from(typeof v === 'string' ? v : JSON.stringify(v)).toString('base64url');
  const answer = (res, status, type, body) => {
    res.writeHead(status, { 'Content-Type': type, 'Cross-Origin-Opener-Policy': 'same-origin', 'Cache-Control': 'no-store' });
    res.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  const routes = {
    '/.well-known/openid-configuration': (q, res) => answer(res, 200, 'application/json', {
      issuer, authorization_endpoint: issuer + '/authorize', token_endpoint: issuer + '/token', jwks_uri: issuer + '/keys',
      id_token_signing_alg_values_supported: ['RS256'],
    }),
    '/keys': (q, res) => answer(res, 200, 'application/json', { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: '1', alg: 'RS256', use: 'sig' }] }),
    '/authorize': (q, res) => {
      const hidden = [...q].map(([k, v]) => `<input type="hidden" name="${k}" value="${v}">`).join('');
      answer(res, 200, 'text/html', `<!doctype html><html lang="en"><title>Provider</title><h1>Provider</h1>
        <form action="/login">${hidden}<label>Address <input name="email"></label><button>Yes, it is me</button></form>`);
    },
    '/login': (q, res) => {
      const code = randomBytes(24).toString('base64url');
      codes.set(code, Object.fromEntries(q));
      res.writeHead(302, { Location: `${q.get('redirect_uri')}?${new URLSearchParams({ code, state: q.get('state'), iss: issuer })}` });
      res.end();
    },
    '/token': (q, res) => {
      const v = codes.get(q.get('code'));
      codes.delete(q.get('code'));
      if (!v || createHash('sha256').update(q.get('code_verifier')).digest('base64url') !== v.code_challenge) return answer(res, 400, 'application/json', { error: 'invalid_grant' });
      const now = Math.floor(Date.now() / 1000);
      const text = b64({ alg: 'RS256', kid: '1' }) + '.' + b64({ iss: issuer, aud: v.client_id, sub: 'u-' + v.email, nonce: v.nonce, iat: now, exp: now + 60, email: v.email, email_verified: true });
      answer(res, 200, 'application/json', { access_token: 'a', token_type: 'Bearer', id_token: text + '.' + createSign('RSA-SHA256').update(text).sign(privateKey, 'base64url') });
    },
  };
  const server = createServer(async (req, res) => {
    const url = new URL(req.url, issuer);
    let body = '';
    for await (const chunk of req) body += chunk;
    const route = routes[url.pathname];
    if (route) route(req.method === 'POST' ? new URLSearchParams(body) : url.searchParams, res);
    else answer(res, 404, 'text/plain', 'nothing');
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  issuer = `http://127.0.0.1:${server.address().port}`;
  return { issuer, close: () => server.close() };
}
