/** True if an error of Node.js has one of these codes, such as ENOENT, or the exit code of a program. */
export function hasSystemCode(error: unknown, ...codes: readonly (string | number)[]): error is Error {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code)
}
