import * as fc from 'fast-check'

/** Texts that have led programs astray: each is used alone, beside others, and inside of valid text. */
const fragments = [
  // Quotes, SQL and shells.
  `'`,
  `"`,
  '`',
  '\\',
  '$1',
  '$$',
  ';--',
  '/*',
  `'; drop database postgres; --`,
  `"; drop table tenantry.tenant; --`,
  `') or 1=1 --`,
  '$(touch x)',
  '| cat',
  // Patterns and format strings.
  '%',
  '_',
  '%s%n%d',
  '{0}',
  '${7*7}',
  '%00',
  '\\u0000',
  // Control characters, and sequences that a terminal obeys.
  '\0',
  '\n',
  '\r\n',
  '\t',
  '\b\b',
  '\u007f',
  '\u0085',
  '\u001b[2J\u001b]0;title\u0007',
  '\u009b31m',
  '\u2028',
  '\u2029',
  // Direction, invisible and confusable characters, and characters that change their length with their case.
  '\u202eevil',
  '\u2066',
  '\u2069',
  '\u200f',
  '\u061c',
  '\u200b',
  '\ufeff',
  '\u00ad',
  '\u{e0041}',
  'а',
  'ο',
  'ａ',
  '\u212a',
  'ſ',
  'İ',
  'ß',
  'ﬀ',
  'e\u0301',
  '🦑',
  '👩‍👩‍👧',
  'نص',
  // Halves of characters.
  '\ud800',
  '\udfff',
  // Keys that every object has, and words of JavaScript, SQL and PostgreSQL.
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'null',
  'undefined',
  'NaN',
  'select',
  'template0',
  'pg_catalog',
  'public',
  // Paths.
  '../..',
  '/etc/passwd',
  'C:\\',
  ' ',
  '-',
  '--json',
] as const

const fragment = fc.constantFrom(...fragments)

/** The lengths, in bytes, at which something is cut or refused, and their neighbours. */
const lengths = [1, 16, 17, 40, 41, 62, 63, 64, 65, 199, 200, 201, 255, 256]

const exactly = fc
  .tuple(fc.constantFrom('a', 'é', '€', '🦑', `'`, '\u202e'), fc.constantFrom(...lengths))
  .map(([unit, length]) => {
    const size = Buffer.byteLength(unit)
    return unit.repeat(Math.floor(length / size)) + 'x'.repeat(length % size)
  })

/** Any text, mostly hostile. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.oneof(fragment, fc.string({ maxLength: 4 })), { maxLength: 5 }).map(joined) },
  { weight: 2, arbitrary: fragment },
  { weight: 2, arbitrary: exactly },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) },
)

/** A text long enough to make repeated copying slow. */
export const longText = fc
  .tuple(fragment, fc.constantFrom(1_000, 60_000, 70_000, 300_000))
  .map(([unit, length]) => unit.repeat(Math.ceil(length / unit.length)))

/** Valid ids of tenants. */
export const goodId = fc.oneof(
  fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/),
  fc.constantFrom('constructor', 'tostring', 'null', 'select', 'postgres', 'template0', 'catalog', '0', '00', 'a--b'),
  fc.constantFrom('a', '7', '-').chain((unit) => fc.constant(`a${unit.repeat(38)}z`)),
)

/** Text that may be an id and mostly is none: a good one with something in it, or anything. */
export const idText = fc.oneof(
  { weight: 3, arbitrary: hostileText },
  {
    weight: 3,
    arbitrary: fc.tuple(goodId, fragment, fc.nat(40)).map(([id, it, at]) => id.slice(0, at) + it + id.slice(at)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('a', 'z9'), fc.integer({ min: 19, max: 45 }))
      .map(([unit, n]) => unit.repeat(n)),
  },
  { weight: 1, arbitrary: goodId.map((id) => id.toUpperCase()) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('-', ' ', '\n'), goodId).map(([it, id]) => it + id) },
  { weight: 2, arbitrary: goodId },
)

/** Values other than text; made anew each time, since a case may change them. */
export const notText: fc.Arbitrary<unknown> = fc
  .constantFrom<() => unknown>(
    () => null,
    () => 0,
    () => -0,
    () => NaN,
    () => Infinity,
    () => 2 ** 53,
    () => 12_345_678_901_234_567_890n,
    () => true,
    () => Symbol('\u202e'),
    () => [],
    () => ['acme'],
    () => ({}),
    () => circular(),
    () => new Date(0),
    () => new Date(NaN),
    () => () => 'acme',
    () => Object('acme') as object,
    () => ({ toString: () => 'acme' }),
    () => ({ toJSON: () => 'acme' }),
    () => ({ toJSON: thrower }),
    () => ({ length: 4, __proto__: { replaceAll: thrower } }),
    () => new Map([['a', 1]]),
    () => Buffer.from('acme'),
  )
  .map((make) => make())

function thrower(): never {
  throw new RangeError('thrown by a hostile value')
}

export function circular(): Record<string, unknown> {
  const value: Record<string, unknown> = { name: 'circular' }
  value['self'] = { again: [value] }
  return value
}

function joined(parts: readonly string[]): string {
  return parts.join('')
}
