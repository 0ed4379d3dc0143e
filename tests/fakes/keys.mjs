// Keys for those who sign in tests.
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';

/**
 * { privateKey, publicKey, jwk }: a new pair, and the public one as JWK. Not the key objects of generateKeyPairSync() themselves: to export
 * one as JWK locks it, and garbage that is collected meanwhile, which may hold what made the pair, waits for that lock for ever (Node 20).
 */
export function key_pair(type, options = {}) {
    const made = generateKeyPairSync(type, { ...options, publicKeyEncoding: { type: 'spki', format: 'der' }, privateKeyEncoding: { type: 'pkcs8', format: 'der' } });
    const publicKey = createPublicKey({ key: made.publicKey, type: 'spki', format: 'der' });
    return { privateKey: createPrivateKey({ key: made.privateKey, type: 'pkcs8', format: 'der' }), publicKey, jwk: publicKey.export({ format: 'jwk' }) };
}
