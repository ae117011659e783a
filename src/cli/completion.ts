import type { Command, Option } from 'commander'

/** Shells with a completion script. */
export const shells = ['bash', 'zsh', 'fish'] as const

/** One of {@link shells}. */
export type Shell = (typeof shells)[number]

/** Returns a script that completes the names of commands and of their options. */
export function completionScript(program: Command, shell: Shell): string {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    summary: command.summary(),
    options: [...command.options, helpOption(command)],
  }))
  return writers[shell](commands)
}

interface Completable {
  readonly name: string
  readonly summary: string
  readonly options: readonly Pick<Option, 'long' | 'description'>[]
}

function helpOption(command: Command): Pick<Option, 'long' | 'description'> {
  return { long: '--help', description: `help for ${command.name()}` }
}

const writers: Readonly<Record<Shell, (commands: readonly Completable[]) => string>> = { bash, zsh, fish }

function bash(commands: readonly Completable[]): string {
  const cases = commands.map(({ name, options }) => `    ${name}) words="${longs(options).join(' ')}" ;;`)
  return [
    '_tenantry() {',
    '  local current="${COMP_WORDS[COMP_CWORD]}" words',
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    '  esac',
    `  if [ "$COMP_CWORD" -eq 1 ]; then words="${commands.map(({ name }) => name).join(' ')}"; fi`,
    '  if [ "$COMP_CWORD" -gt 1 ] && [ "${current#-}" = "$current" ]; then',
    '    COMPREPLY=($(compgen -f -- "$current"))',
    '  else',
    '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
    '  fi',
    '}',
    'complete -F _tenantry tenantry',
  ].join('\n')
}

function zsh(commands: readonly Completable[]): string {
  const described = commands.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}`)
  const cases = commands.map(({ name, options }) => {
    const all = options.map(({ long, description }) => quote(`${long}[${description.replaceAll(/[[\]]/g, '')}]`))
    return `    ${name}) _arguments ${all.join(' ')} '*:file:_files' ;;`
  })
  return [
    '#compdef tenantry',
    '_tenantry() {',
    '  local -a commands',
    '  commands=(',
    ...described,
    '  )',
    '  if (( CURRENT == 2 )); then _describe command commands; return; fi',
    '  case "${words[2]}" in',
    ...cases,
    '  esac',
    '}',
    'compdef _tenantry tenantry',
  ].join('\n')
}

function fish(commands: readonly Completable[]): string {
  const lines = commands.flatMap(({ name, summary, options }) => [
    `complete -c tenantry -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
    ...options.map(
      ({ long, description }) =>
        `complete -c tenantry -n '__fish_seen_subcommand_from ${name}' -l ${long?.slice(2)} -d ${quote(description)}`,
    ),
  ])
  return lines.join('\n')
}

function longs(options: Completable['options']): string[] {
  return options.flatMap(({ long }) => (long ? [long] : []))
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
