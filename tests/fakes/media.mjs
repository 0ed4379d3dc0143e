// What the fake provider makes: small files that are valid, each with bytes of its own (its request's name stands in it), and bombs.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import { hash } from './book.mjs';

const fixtures = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../fixtures/media');
const sample = name => fs.readFileSync(path.join(fixtures, name));

function chunk(type, data) {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const size = Buffer.alloc(4), sum = Buffer.alloc(4);
    size.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc(body));
    return Buffer.concat([size, body, sum]);
}
const table = Uint32Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0; });
export function crc(bytes) {
    let c = 0xffffffff;
    for (const byte of bytes) c = table[(c ^ byte) & 255] ^ (c >>> 8);
    return (c ^ 0xffffffff) >>> 0;
}
function png_of(width, height, depth, colour, packed, note) {
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header[8] = depth;
    header[9] = colour;
    return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', header), ...(note === null ? [] : [chunk('tEXt', Buffer.from(`Comment\0${note}`, 'latin1'))]), chunk('IDAT', packed), chunk('IEND', Buffer.alloc(0))]);
}
export function png(note, width = 64, height = 48) {
    const colour = Buffer.from(hash(note), 'hex');
    const row = y => Buffer.concat([Buffer.of(0), Buffer.from(Array.from({ length: width }, (_, x) => [colour[0] ^ (x * 2), colour[1] ^ (y * 3), colour[2]]).flat())]);
    return png_of(width, height, 8, 2, zlib.deflateSync(Buffer.concat(Array.from({ length: height }, (_, y) => row(y)))), note);
}
/** A picture without a word in it, 8 x 8: what a check leaves as it is. */
export function plain_png(bytes) {
    const pixels = Buffer.alloc(8 * 25);
    for (let i = 0; i < pixels.length; i++) if (i % 25) pixels[i] = bytes[i % bytes.length] ?? 0;
    return png_of(8, 8, 8, 2, zlib.deflateSync(pixels), null);
}
/** A comment segment behind the start of the image. */
function jpeg(note) {
    const bytes = sample('sample.jpg'), text = Buffer.from(note), size = Buffer.alloc(2);
    size.writeUInt16BE(text.length + 2);
    return Buffer.concat([bytes.subarray(0, 2), Buffer.of(0xff, 0xfe), size, text, bytes.subarray(2)]);
}
/** A `free` box at the end. */
function mp4(note) {
    const text = Buffer.from(note), size = Buffer.alloc(4);
    size.writeUInt32BE(text.length + 8);
    return Buffer.concat([sample('sample.mp4'), size, Buffer.from('free'), text]);
}
/** An ID3v1 tag at the end. */
const mp3 = note => Buffer.concat([sample('sample.mp3'), Buffer.from('TAG'), Buffer.from(note.slice(0, 30).padEnd(125, '\0'), 'latin1')]);
export function wav(note, seconds = 0.5, rate = 8000) {
    const tone = 220 + parseInt(hash(note).slice(0, 3), 16) / 8, count = seconds * rate;
    const bytes = Buffer.alloc(44 + count * 2);
    bytes.write('RIFF', 0); bytes.writeUInt32LE(36 + count * 2, 4); bytes.write('WAVEfmt ', 8);
    bytes.writeUInt32LE(16, 16); bytes.writeUInt16LE(1, 20); bytes.writeUInt16LE(1, 22); bytes.writeUInt32LE(rate, 24);
    bytes.writeUInt32LE(rate * 2, 28); bytes.writeUInt16LE(2, 32); bytes.writeUInt16LE(16, 34); bytes.write('data', 36); bytes.writeUInt32LE(count * 2, 40);
    for (let i = 0; i < count; i++) bytes.writeInt16LE(Math.round(8000 * Math.sin(2 * Math.PI * tone * i / rate)), 44 + i * 2);
    return bytes;
}

export const types = { png: 'image/png', jpg: 'image/jpeg', mp4: 'video/mp4', mp3: 'audio/mpeg', wav: 'audio/wav' };
export const make = (suffix, note) => ({ png, jpg: jpeg, mp4, mp3, wav })[suffix](note);

// Bombs are made once: packing a hundred megabytes would stop the fake for everybody else.
const kept = new Map();
const once = (name, make_it) => { if (!kept.has(name)) kept.set(name, make_it()); return kept.get(name); };

/** What is served instead of the file; `bytes` is what should have been. */
export function instead(what, bytes) {
    switch (what) {
    case 'empty': return { body: Buffer.alloc(0) };
    case 'text': return { body: Buffer.from('not here, but 200\n') };
    case 'html': return { body: Buffer.from('<!doctype html><script>alert(1)</script>') };
    case 'truncated': return { body: bytes.subarray(0, bytes.length >> 1) };
    case 'huge-png': return { body: png_of(60000, 60000, 8, 2, zlib.deflateSync(Buffer.alloc(1000)), 'huge') };
    case 'bomb-png': return { body: once(what, () => png_of(24000, 24000, 1, 0, zlib.deflateSync(Buffer.alloc(24000 * 3001), { level: 1 }), 'bomb')) };       // 72 MB in 300 KB
    case 'gzip-bomb': return { body: once(what, () => zlib.gzipSync(Buffer.alloc(100 << 20), { level: 1 })), headers: { 'Content-Encoding': 'gzip' } };
    case 'big': return { body: once(what, () => Buffer.concat([bytes, Buffer.alloc(100 << 20)])) };
    default: return { body: bytes };
    }
}
