#!/usr/bin/env python3
"""Writes vectors.json: stored values made without any of this project's code, by Python's `cryptography` (AES-GCM,
AES-CBC, HKDF) and, for secretbox, by Salsa20 and Poly1305 written out below. The formats are those of
k8s.io/apiserver/pkg/storage/value/encrypt. Keys and nonces are counters: nothing here is secret."""
import base64, json, os, struct
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def count(length, start=0):
    return bytes((start + i) % 256 for i in range(length))


STORAGE_KEY = '/registry/core/secrets/shop/db'
PLAIN = json.dumps(
    {'kind': 'Secret', 'apiVersion': 'v1', 'metadata': {'name': 'db', 'namespace': 'shop'}, 'data': {'a': 'Yg=='}}
).encode()
AAD = STORAGE_KEY.encode()


# --- Salsa20, XSalsa20 (cr.yp.to/snuffle), Poly1305 (cr.yp.to/mac), secretbox (nacl.cr.yp.to/secretbox.html)
def rotl(value, by):
    value &= 0xFFFFFFFF
    return ((value << by) | (value >> (32 - by))) & 0xFFFFFFFF


def rounds(state):
    x = list(state)

    def quarter(a, b, c, d):
        x[b] ^= rotl(x[a] + x[d], 7)
        x[c] ^= rotl(x[b] + x[a], 9)
        x[d] ^= rotl(x[c] + x[b], 13)
        x[a] ^= rotl(x[d] + x[c], 18)

    for _ in range(10):
        for column in ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)):
            quarter(*column)
        for row in ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)):
            quarter(*row)
    return x


def state_of(key, middle):
    c = struct.unpack('<4I', b'expand 32-byte k')
    k = struct.unpack('<8I', key)
    n = struct.unpack('<4I', middle)
    return [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]


def xsalsa20(key, nonce, length):
    x = rounds(state_of(key, nonce[:16]))
    subkey = struct.pack('<8I', *(x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))
    out = b''
    for block in range((length + 63) // 64):
        state = state_of(subkey, nonce[16:] + struct.pack('<Q', block))
        out += struct.pack('<16I', *((a + b) & 0xFFFFFFFF for a, b in zip(rounds(state), state)))
    return out[:length]


def poly1305(key, message):
    r = int.from_bytes(key[:16], 'little') & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at : at + 16] + b'\1', 'little')) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key[16:], 'little')) % (1 << 128)).to_bytes(16, 'little')


def secretbox(key, nonce, plain):
    stream = xsalsa20(key, nonce, 32 + len(plain))
    sealed = bytes(a ^ b for a, b in zip(plain, stream[32:]))
    return nonce + poly1305(stream[:32], sealed) + sealed


# --- protobuf
def varint(value):
    out = b''
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def encrypted_object(data, key_id, wrapped, annotations, kind):
    out = field(1, data) + field(2, key_id.encode()) + field(3, wrapped)
    for name, value in annotations:
        out += field(4, field(1, name.encode()) + field(2, value))
    return out + (varint(5 << 3) + varint(kind) if kind else b'')


def gcm(key, nonce, plain, aad=AAD):
    return nonce + AESGCM(key).encrypt(nonce, plain, aad)


def cbc(key, iv, plain):
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


vectors = []


def add(name, provider, key_name, key, body, **more):
    version = 'v2' if provider == 'kms' else 'v1'
    value = f'k8s:enc:{provider}:{version}:{key_name}:'.encode() + body
    entry = {'name': name, 'provider': provider, 'keyName': key_name, 'key': base64.b64encode(key).decode()}
    vectors.append({**entry, 'value': base64.b64encode(value).decode(), **more})


for bits in (128, 192, 256):
    key = count(bits // 8)
    add(f'aesgcm with {bits} bits', 'aesgcm', 'key1', key, gcm(key, count(12, 100), PLAIN))
    add(f'aescbc with {bits} bits', 'aescbc', 'key1', key, cbc(key, count(16, 100), PLAIN))
add('secretbox', 'secretbox', 'key1', count(32), secretbox(count(32), count(24, 100), PLAIN))

seed, info = count(32, 7), count(32, 60)
derived = HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info).derive(seed)
annotations = [('zone.example.com', b'\x00\xff'), ('a.example.com', b'1')]
add(
    'kms v2 with a seed', 'kms', 'vault', seed,
    encrypted_object(info + gcm(derived, count(12, 100), PLAIN), 'kek-1', count(60, 3), annotations, 1),
    keyId='kek-1', wrapped=base64.b64encode(count(60, 3)).decode(),
)
add(
    'kms v2 with a key', 'kms', 'vault', seed,
    encrypted_object(gcm(seed, count(12, 100), PLAIN), 'kek-1', count(60, 3), [], 0),
    keyId='kek-1', wrapped=base64.b64encode(count(60, 3)).decode(),
)

# What the local key file wraps: nonce, ciphertext, tag; bound to the key's id and the annotations.
kek, created = count(32, 50), b'2026-11-23T12:00:00.000Z'
bound = b''.join(
    struct.pack('>I', len(part)) + part for part in (b'kek-1', b'data-key-created.rampart.dev', created)
)
wrapped = gcm(kek, count(12, 9), seed, bound)
add(
    'the local key file', 'kms', 'local', kek,
    encrypted_object(
        info + gcm(derived, count(12, 100), PLAIN), 'kek-1', wrapped, [('data-key-created.rampart.dev', created)], 1
    ),
    keyId='kek-1', wrapped=base64.b64encode(wrapped).decode(),
)

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'vectors.json')
with open(path, 'w') as out:
    json.dump({'storageKey': STORAGE_KEY, 'plain': PLAIN.decode(), 'vectors': vectors}, out, indent=2)
    out.write('\n')
