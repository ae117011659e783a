import { TenantryError } from 'tenantry'

/** Values that are wrong for most options, by their descriptions. */
export const values = {
  null: null,
  zero: 0,
  'a negative number': -1,
  'half a number': 0.5,
  NaN,
  'a bigint': 1n,
  true: true,
  'no text': '',
  text: 'no',
  'text with NUL': 'a\u0000b',
  'an empty list': [],
  'a list of nothing': [null],
  'an empty object': {},
  'a date': new Date(Number.NaN),
  'a symbol': Symbol('wrong'),
  'a function': () => undefined,
  'a getter that throws': throwingGetters(),
  'a revoked proxy': revoked(),
  'what looks like a signal': {
    aborted: false,
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  },
  'an object of the class AbortSignal': Object.create(AbortSignal.prototype) as unknown,
  'an object of the class URL': Object.create(URL.prototype) as unknown,
} as const

export type ValueName = keyof typeof values

export const valueNames = Object.keys(values) as ValueName[]

/** The values of an argument or an option: those of the above that are valid, and the refusal of others. */
export interface Kind {
  readonly right: readonly ValueName[]
  readonly codes: readonly string[]
}

const kind = (right: readonly ValueName[], ...codes: string[]): Kind => ({
  right,
  codes: codes.length === 0 ? ['invalid-option'] : codes,
})

/** A request is any object; its content is the framework's. */
const requests = valueNames.filter((name) => typeof values[name] === 'object' && values[name] !== null)

/** Objects that have no option. */
export const withoutOptions: readonly ValueName[] = [
  'an empty object',
  'a date',
  'an object of the class AbortSignal',
  'an object of the class URL',
]

/** The kinds that there are. */
export const kinds = {
  signal: kind([]),
  count: kind([]),
  share: kind(['half a number']),
  duration: kind(['zero']),
  /** Of `close`, which takes any number. */
  deadline: kind(['zero', 'half a number']),
  flag: kind(['true']),
  word: kind([]),
  text: kind(['no text', 'text']),
  nullableText: kind(['null', 'no text', 'text']),
  textOrNumber: kind(['zero', 'a negative number', 'half a number', 'no text', 'text', 'text with NUL']),
  version: kind(['no text', 'text']),
  name: kind(['text'], 'invalid-name'),
  installation: kind(['text']),
  id: kind(['text'], 'invalid-tenant-id', 'invalid-option'),
  domain: kind([], 'invalid-domain'),
  url: kind([], 'invalid-url'),
  key: kind([]),
  function: kind(['a function']),
  functionOrFalse: kind(['a function']),
  metadata: kind(['an empty object']),
  options: kind(withoutOptions),
  pooler: kind([], 'invalid-option', 'invalid-url'),
  names: kind(['an empty list'], 'invalid-option', 'invalid-name'),
  texts: kind(['an empty list']),
  shares: kind(['an empty list']),
  textsOrFunction: kind(['an empty list', 'a function']),
  /** NestJS itself checks their content. */
  list: kind(['an empty list', 'a list of nothing']),
  limit: kind(['zero', 'a negative number']),
  path: kind(['text', 'text with NUL']),
  /** A path, a domain or a header: one word is one. */
  simple: kind(['text']),
  prefix: kind(['no text']),
  request: kind(requests),
  /** Made elsewhere: models, a server, a Tenantry and the like. */
  made: kind([]),
  /** For `tenantOfDomain`: a value that is no domain belongs to no tenant. */
  anything: kind(valueNames),
} satisfies Record<string, Kind>

/** Returns the result of a call, as a word. */
export async function outcomeOf(call: () => unknown): Promise<string> {
  try {
    await call()
    return 'accepted'
  } catch (error) {
    return error instanceof TenantryError ? error.code : `raw: ${String(error)}`
  }
}

function throwingGetters(): object {
  const fail = () => {
    throw new RangeError('A getter of the caller.')
  }
  return new Proxy({}, { get: fail, ownKeys: fail, has: fail, getPrototypeOf: fail, getOwnPropertyDescriptor: fail })
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
