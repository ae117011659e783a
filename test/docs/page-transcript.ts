import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { UserProject } from '../cli/project.ts'
import { formatTranscript, normalised, parseTranscript, runStep, type Step } from '../cli/transcript.ts'
import { allCodeBlocks, readPage, root } from './markdown.ts'

// UPDATE_TRANSCRIPTS=1 writes the output of this run into the page; read the difference before you commit it.
const isUpdating = process.env['UPDATE_TRANSCRIPTS'] === '1'

/** Runs the `console` blocks of a page in a project, and compares what they print with the page. */
export async function followTranscripts(path: string, project: UserProject): Promise<void> {
  const page = readPage(path)
  let updated = page
  for (const { code } of allCodeBlocks(page).filter(({ language }) => language === 'console')) {
    const { steps } = parseTranscript(code)
    const seen: Step[] = []
    for (const { command } of steps) seen.push({ command, expected: await runOnPage(command, project) })
    const text = formatTranscript({ preamble: '', steps: seen })
    if (isUpdating) updated = updated.replace(code, () => text)
    else expect(normalised(text, {})).toBe(normalised(code, {}))
  }
  if (isUpdating) writeFileSync(join(root, path), updated)
}

/** Runs a command of a page in a project, with names of the project's own; returns the output with the page's names. */
export async function runOnPage(command: string, { cwd, env }: UserProject): Promise<string> {
  const installation = env['INSTALLATION'] ?? ''
  const url = new URL(env['DATABASE_URL'] ?? '')
  const names = [
    ['app_production', `${installation}_app`],
    ['acme_restored', `${installation}_restored`],
  ] as const
  url.pathname = `/${names[0][1]}`
  const ownUrl = command.replaceAll('postgresql://localhost/app_production', url.href)
  const adapted = names.reduce((text, [onPage, here]) => text.replaceAll(onPage, here), ownUrl)
  const output = await runStep(adapted, { cwd, env: { ...env, COLUMNS: '80' } })
  return names
    .reduce((text, [onPage, here]) => text.replaceAll(here, onPage), output)
    .replaceAll(installation, 'tenantry')
    .replaceAll(/\S+ \(tenantry\)/g, 'anna (tenantry)')
    .replaceAll(/^! /gm, '')
    .replaceAll(/\n?^\[\d+\]$/gm, '')
}
