import { closestMatch } from 'leven'
import * as v from 'valibot'
import { TenantryError } from './errors.ts'
import { type Identifier, parseIdentifier } from './names.ts'
import { show } from './printable.ts'

/** A schema for each option of an interface: a missing one, another one or one of another type does not compile. */
export type Entries<Options> = {
  readonly [Name in keyof Options]-?: v.GenericSchema<Options[Name] | undefined, unknown>
}

/** The schema of an object of options. */
export type OptionsSchema<Own extends v.ObjectEntries> = { readonly entries: Own } & v.GenericSchema<
  v.InferInput<v.ObjectSchema<Own, undefined>>,
  v.InferOutput<v.ObjectSchema<Own, undefined>>
>

/**
 * Returns the schema of an object of options. Each is read once; one that is undefined is left out, and an unknown one
 * is refused, since a mistyped option would be silently without effect.
 */
export function options<const Own extends v.ObjectEntries>(entries: Own): OptionsSchema<Own> {
  const schema = v.pipe(
    v.custom<object>(isOptions, ({ input }) =>
      problem(`must be an object of options, not ${show(input)}.`, 'Write it as { name: value }.'),
    ),
    v.rawTransform<object, object>(({ dataset, addIssue, NEVER }) => {
      const unknown = Object.keys(dataset.value).find((name) => !Object.hasOwn(entries, name))
      if (unknown === undefined) return readOnce(dataset.value, Object.keys(entries))
      addIssue({ message: problem(`has no option ${show(unknown)}.`, unknownHint(unknown, entries)) })
      return NEVER
    }),
    // A missing option is a wrong one: its own schema has the message.
    v.object(entries, ({ path }) => wrongness(entries[String(path?.at(-1)?.key)], undefined)),
  )
  return Object.assign(schema, { entries }) as unknown as OptionsSchema<Own>
}

/** A schema for each option of an interface, apart from whether it may be left out. */
export type Schemas<Options> = {
  readonly [Name in keyof Options]-?: v.GenericSchema<Exclude<Options[Name], undefined>, unknown>
}

/** Returns the schema of an interface's options. All but the required ones may be left out. */
export function optionsOf<Options extends object>(
  schemas: Schemas<Options>,
  ...required: readonly (keyof Options)[]
): v.GenericSchema<Options, Options> {
  const entries = Object.entries<v.GenericSchema>(schemas as Schemas<Record<string, unknown>>).map(
    ([name, schema]) => [name, required.includes(name as keyof Options) ? schema : v.exactOptional(schema)] as const,
  )
  return options(Object.fromEntries(entries)) as unknown as v.GenericSchema<Options, Options>
}

/**
 * Reads options, or another argument, from outside.
 *
 * @param subject the name of the call or the argument, for messages
 * @throws `invalid-option`, also for an error of a getter or a proxy, and the errors of the schema
 */
export function readOptions<Schema extends v.GenericSchema>(
  subject: string,
  schema: Schema,
  given: unknown,
): v.InferOutput<Schema> {
  const result = readable(subject, () => v.safeParse(schema, given, { abortEarly: true }))
  if (result.success) return result.output
  const [issue] = result.issues
  const [what = '', hint] = issue.message.split('\n')
  throw new TenantryError('invalid-option', `${v.getDotPath(issue) ?? subject} ${what}`, { hint })
}

/** Reads a value from outside, which may throw anything. @throws `invalid-option` */
export function readable<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof TenantryError) throw cause
    throw new TenantryError('invalid-option', `${what} cannot be read.`, {
      cause,
      hint: 'Give plain values: a getter or a proxy of it has thrown.',
    })
  }
}

function readOnce(given: object, names: readonly string[]): object {
  const read = names.map((name) => [name, readable(name, (): unknown => Reflect.get(given, name))] as const)
  return Object.fromEntries(read.filter(([, value]) => value !== undefined))
}

function isOptions(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function wrongness(schema: v.GenericSchema | undefined, value: unknown): string {
  const result = v.safeParse(schema as v.GenericSchema, value)
  return result.success ? '' : result.issues[0].message
}

/** Returns the most similar known option; for the name of an option of a group, that option. */
function unknownHint(name: string, entries: v.ObjectEntries): string {
  const known = Object.keys(entries)
  if (known.length === 0) return 'It takes none.'
  const groups = known.filter((group) => Object.hasOwn(groupEntries(entries[group]), name))
  const meant = [closestMatch(name, known, { maxDistance: 2 }) ?? groups.map((group) => `${group}.${name}`)].flat()
  return meant.length === 0 ? `It knows ${known.join(', ')}.` : `Did you mean ${meant.join(' or ')}?`
}

function groupEntries(schema: unknown): object {
  const { wrapped = schema } = schema as { readonly wrapped?: unknown }
  return (wrapped as { readonly entries?: object }).entries ?? {}
}

/** A sentence without its subject, and a hint: the message of an issue. */
function problem(what: string, hint: string): string {
  return `${what}\n${hint}`
}

/** Returns the message for an invalid value. `wanted` completes "must be". */
export function must(wanted: string, hint = 'Leave it out for the default.'): string {
  return problem(`must be ${wanted}.`, hint)
}

/** Returns the schema of values that pass a check. `wanted` may name the value. */
export function checked<Value>(
  isValid: (value: unknown) => boolean,
  wanted: string | ((value: unknown) => string),
  hint?: string,
) {
  return v.custom<Value>(isValid, ({ input }) => must(typeof wanted === 'string' ? wanted : wanted(input), hint))
}

/** Returns the schema of values that a function parses or refuses by an error of its own. */
export function parsed<Input, Output>(parse: (value: Input) => Output): v.GenericSchema<Input, Output> {
  return v.pipe(
    v.custom<Input>(() => true),
    v.transform(parse),
  )
}

/** Returns the schema of a PostgreSQL identifier, of a kind that the error names. */
export function identifier(what: string): v.GenericSchema<string, Identifier> {
  return parsed((name: string) => parseIdentifier(name, what))
}

/** A list of PostgreSQL's extensions. */
export const extensionNames = v.array(identifier('extension'), must('a list', "Write extensions: ['citext', ...]."))

/** An AbortSignal. */
export const abortSignal = checked<AbortSignal>(
  isSignal,
  'an AbortSignal',
  'Give the signal of an AbortController, or AbortSignal.timeout(milliseconds).',
)

function isSignal(value: unknown): boolean {
  try {
    // The class's own getter refuses an object that only looks like a signal.
    Reflect.get(AbortSignal.prototype, 'aborted', value)
    return true
  } catch {
    return false
  }
}

/** The option of every call that can be cancelled. */
export const cancellable = { signal: v.exactOptional(abortSignal) }

/** An object whose content another library checks; it is copied. */
export function objectOption<Value extends object>(hint?: string) {
  return v.pipe(
    checked<Value>(isOptions, 'an object', hint),
    v.transform((value) => ({ ...value })),
  )
}

/** A list of texts. */
export function texts(wanted: string, hint: string) {
  return v.array(v.string(must(wanted, hint)), must(wanted, hint))
}

/** Returns the schema of a function. */
export function functionOption<Function = (...args: never[]) => unknown>(hint?: string) {
  return checked<Function>((value) => typeof value === 'function', 'a function', hint)
}

/** Returns the schema of an option that has a few values. */
export function oneOf<const Values extends readonly string[]>(values: Values, hint?: string) {
  const wanted = values.map((value) => JSON.stringify(value)).join(' or ')
  return v.picklist(values, ({ input }) => must(`${wanted}, not ${show(input)}`, hint))
}

/** True if a value is an object with methods of these names. @throws `invalid-option` if it cannot be read */
export function hasMethods(value: unknown, ...methods: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return readable('What is given', () => methods.every((method) => typeof Reflect.get(value, method) === 'function'))
}

function wholeNumber(least: number, wanted: string) {
  return v.pipe(v.number(must(wanted)), v.safeInteger(must(wanted)), v.minValue(least, must(wanted)))
}

/** A whole number above zero. */
export const positiveInteger = wholeNumber(1, 'a whole number above 0')
const numberOrZero = wholeNumber(0, 'a whole number, 0 or above')

/** The longest time of Node's timers, some 24 days. */
export const longestMs = 2 ** 31 - 1
const atMostLongest = v.maxValue<number, number, string>(longestMs, must(`at most ${longestMs} milliseconds`))

/** A time in milliseconds, zero or above. */
export const durationMs = v.pipe(numberOrZero, atMostLongest)

/** A time in milliseconds above zero. */
export const positiveMs = v.pipe(positiveInteger, atMostLongest)

/** A number above zero that the catalog can store. */
export const recordNumber = v.pipe(positiveInteger, v.maxValue(2 ** 31 - 1, must('at most 2147483647')))

/** The length of a lease, in milliseconds: from a second, since it is renewed in time on a busy machine, to an hour. */
export const leaseLength = v.pipe(
  wholeNumber(1_000, 'a whole number of milliseconds, 1000 or above'),
  v.maxValue(3_600_000, must('at most 3600000 milliseconds')),
)

/** The longest wait, in milliseconds; cut to the longest time of timers. */
export const deadline = v.pipe(
  checked<number>((value) => typeof value === 'number' && value >= 0, 'a number of milliseconds, 0 or above'),
  v.transform((ms) => Math.min(ms, longestMs)),
)

/** A number of days, zero or above, up to a hundred years. */
export const days = v.pipe(numberOrZero, v.maxValue(36_500, must('at most 36500 days')))

/** A part of a whole, above 0 and at most 1. */
export const part = checked<number>(
  (value) => typeof value === 'number' && value > 0 && value <= 1,
  'a number above 0 and at most 1',
  'Write 0.5 for a half.',
)

export const trueOrFalse = v.boolean(must('true or false'))

/** The path of a folder, which need not exist. No operating system allows NUL in one. */
export const folder = checked<string>(
  (value) => typeof value === 'string' && value !== '' && !value.includes('\u0000'),
  'the path of a folder',
  "Write it as text, such as './data' or import.meta.dirname.",
)
