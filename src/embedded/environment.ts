const inherited = /^(?:PG[A-Z]|LC_|LANG$|LANGUAGE$)/

/**
 * Returns this process's environment without variables that change PostgreSQL's behaviour or the language of its
 * messages.
 */
export function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !inherited.test(name)))
}
