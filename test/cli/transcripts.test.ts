import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, it } from 'vitest'
import { makeProject } from './project.ts'
import { formatTranscript, normalised, parseTranscript, runStep, type Step } from './transcript.ts'

// Each file is a session of a user, through the real binary. UPDATE_TRANSCRIPTS=1 records the current output; read the
// difference before you commit it.
const folder = join(import.meta.dirname, 'transcripts')
const isUpdating = process.env['UPDATE_TRANSCRIPTS'] === '1'

describe.concurrent.each(readdirSync(folder))('%s', (name) => {
  it('equals the output of the command line', { timeout: 600_000 }, async ({ expect }) => {
    const file = join(folder, name)
    const { preamble, steps } = parseTranscript(readFileSync(file, 'utf8'))
    const project = makeProject(basename(name, '.txt'))
    const seen: Step[] = []
    for (const { command } of steps) {
      seen.push({ command, expected: normalised(await runStep(command, project), project.words) })
    }
    if (isUpdating) writeFileSync(file, formatTranscript({ preamble, steps: seen }))
    else expect(formatTranscript({ preamble, steps: seen })).toBe(formatTranscript({ preamble, steps }))
  })
})
