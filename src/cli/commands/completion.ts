import type { Command } from 'commander'
import { CliError } from '../error.ts'
import { print } from '../output.ts'

function words(command: Command): string {
  return [...command.commands.map((c) => c.name()), ...flags(command)].join(' ')
}

function flags(command: Command): string[] {
  return [...command.options.flatMap((o) => [o.long, o.short].filter((f): f is string => f != null)), '--help']
}

/** A completion script made from the commands themselves: command names first, then the flags of the command. */
export function completion(shell: string, root: Command): void {
  if (shell !== 'bash' && shell !== 'zsh')
    throw new CliError(`completion for ${JSON.stringify(shell)} is not there: bash or zsh`, 2)
  const ways = root.commands.flatMap((c) => [
    ...c.commands.map((sub) => ({ way: `"${c.name()} ${sub.name()}"`, words: words(sub) })),
    { way: `"${c.name()} "*`, words: words(c) },
  ])
  const cases = ways.map(({ way, words }) => `    ${way}) words="${words}" ;;`).join('\n')
  const script = `_rampart() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words
  case "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" in
${cases}
    *) words="" ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${words(root)}"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _rampart rampart ./rampart`
  print(shell === 'zsh' ? `autoload -U +X bashcompinit && bashcompinit\n${script}` : script)
}
