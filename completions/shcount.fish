# SPDX-License-Identifier: MIT
# Completion of shcount for fish. It names no command and no option: it reads `shcount help` and `shcount help COMMAND`, which are
# made from the tables of the program itself. What is offered for a value follows from what help calls it: NAME, GLOB,
# FILE, PATH, SOCKET, COMMAND, or the words of this|that. Names of counters come from the server, if it answers at once.

# A page of help as lines "option LETTER WORD HOW VALUE WHAT", "command WORD WHAT", "operands KIND...", parted by tabs.
function __shcount_read_help --argument-names program command
    set -l last
    for line in ($program help $command 2>/dev/null) ''
        set -l found (string match -r '^ +((?:-., )?)--([a-z0-9-]+)((?:\[=|=| )?)([^] ]*)\]? *(.*)$' -- $line)
        if test (count $found) -gt 0
            test -n "$last" && echo $last
            set last (string join -- \t option $found[2..])
        else if set found (string match -r '^Usage: shcount \[OPTION\.\.\.\] [a-z-]+ ?(.*)$' -- $line)
            test -n "$last" && echo $last
            set last operands\t$found[2]
        else if set found (string match -r '^  (?!shcount )([a-z][a-z-]*)(?: [^ ]+)*((?:  +.*)?)$' -- $line)
            test -n "$last" && echo $last
            set last command\t$found[2]\t(string trim -- $found[3])
        else if test -n "$last" && set found (string match -r '^ {8,}(.*)$' -- $line)
            # What it is goes on, or begins under it.
            string match -q -- "*"\t $last && set last $last$found[2] || set last "$last $found[2]"
        else
            test -n "$last" && echo $last
            set last
        end
    end
end

# The word before the cursor as the shell will read it; a quote may be open.
function __shcount_typed
    set -l typed (commandline -ct | string replace -r '(?<!\\\\)((?:\\\\\\\\)*)\\\\$' '$1')
    string unescape -- $typed || string unescape -- $typed\' || string unescape -- $typed\"
end

# Names that begin with $argv[2], from the server, if it answers at once; never starts one. What cannot be shown is left out.
# Where there are more than 200, some of them are offered, and what is typed, too: what they have in common is not what all have.
# Where nothing is typed that is --, which may stand there.
function __shcount_names --argument-names program typed
    set -l pattern (string replace -ra '[\\\\*?\[]' '\\\\$0' -- $typed)
    set -l lines (env SHCOUNT_AUTOSTART=0 timeout 0.5 $program $argv[3..] list --timeout 300ms --sort none --limit 201 -- $pattern'*' 2>/dev/null </dev/null)
    if test (count $lines) -gt 200
        test -n "$typed" && echo -- $typed || echo -- --
    end
    printf '%s\n' $lines | LC_ALL=C.UTF-8 grep -ax '[[:print:]]*'\t'-*[0-9]*' | string replace -r '\t[^\t]*$' ''
end

# The options of a page. What may stand only behind = is offered with it.
function __shcount_options
    for line in (string match 'option*' -- $argv)
        set -l part (string split \t -- $line)
        printf '%s\t%s\n' --$part[3] $part[6]
        if test "$part[4]" = '[=' && string match -q -r '^[a-z]' -- $part[5]
            printf "%s\t$part[6]\n" --$part[3]=(string split '|' -- $part[5])
        end
    end
end

# What may stand where help says $kind, each with $before in front of it. Behind these, the options that say which server.
function __shcount_value --argument-names program kind typed before
    if string match -q -r '^[a-z]' -- $kind
        printf '%s\n' "$before"(string split '|' -- $kind)
    end
    switch $kind
        case NAME GLOB
            __shcount_names $program $typed $argv[5..]
        case FILE PATH SOCKET
            printf '%s\n' "$before"(__fish_complete_path $typed)
        case COMMAND
            __shcount_read_help $program | string replace -f -r '^command\t' ''
    end
end

function __shcount_complete
    set -l words (commandline -opc)
    set -l typed (__shcount_typed)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q $program || set program shcount
    set -l page (__shcount_read_help $program)
    set -l commands (string replace -f -r '^command\t' '' -- $page)
    set -l command
    for word in $words[2..]
        if string match -q -- $word\t'*' $commands
            set command $word
            break
        end
    end
    if test "$command" = help
        set page operands\tCOMMAND $page
    else if test -n "$command"
        set page (__shcount_read_help $program $command)
    end

    # Which option each letter and word is, and the value it takes.
    set -l names
    set -l kinds
    for line in (string match 'option*' -- $page)
        set -l part (string split \t -- $line)
        test "$part[4]" = '[=' && set -l kind '' || set -l kind $part[5]
        set -a names --$part[3]
        set -a kinds $kind
        test -n "$part[2]" && set -a names (string sub -l 2 -- $part[2]) && set -a kinds $kind
    end

    # The words before the cursor.
    set -l connect
    set -l position 0
    set -l is_ended
    set -l waiting
    set -l i 2
    while test $i -le (count $words)
        set -l given $words[$i]
        set -l option
        set -l value
        set i (math $i + 1)
        if test -n "$is_ended" || not string match -q -r '^-[^0-9]' -- $given
            set position (math $position + 1)
            continue
        else if test "$given" = --
            set is_ended 1
            continue
        else if string match -q -- '--*=*' $given
            set option (string replace -r '=.*' '' -- $given)
            set value (string replace -r '^[^=]*=' '' -- $given)
        else if string match -q -- '--*' $given
            set -l at (contains -i -- $given $names) && test -n "$kinds[$at]" && set option $given
        else
            for j in (seq 2 (string length -- $given))
                set -l at (contains -i -- -(string sub -s $j -l 1 -- $given) $names) && test -n "$kinds[$at]" || continue
                set option $names[$at]
                set value (string sub -s (math $j + 1) -- $given)
                break
            end
        end
        if test -n "$option" -a -z "$value"
            test $i -le (count $words) && set value $words[$i] || set waiting $option
            set i (math $i + 1)
        end
        contains -- "$option" -s --socket -u --url -c --cluster &&
            set -a connect $option (string replace -r '^~/' "$HOME/" -- $value)
    end

    if test -n "$waiting"
        set -l at (contains -i -- $waiting $names)
        __shcount_value $program "$kinds[$at]" "$typed" '' $connect
    else if test -z "$is_ended" && string match -q -- '--*=*' $typed
        set -l option (string replace -r '=.*' '' -- $typed)
        set -l at (contains -i -- $option $names)
        test -n "$at" && test -n "$kinds[$at]" &&
            __shcount_value $program $kinds[$at] (string replace -r '^[^=]*=' '' -- $typed) $option= $connect
        __shcount_options $page
    else if test -z "$is_ended" && string match -q -- '-*' $typed
        __shcount_options $page
    else if test -z "$command"
        printf '%s\n' $commands
    else
        set -l operands (string replace -f -r '^operands\t' '' -- $page | string replace -ra '[][]' '' | string split -n ' ')
        if test $position -gt (count $operands) && string match -q -- '*...' $operands[-1]
            set position (count $operands)
        end
        __shcount_value $program (string replace '...' '' -- "$operands[$position]") "$typed" '' $connect
    end
end

complete -c shcount -f -a '(__shcount_complete 2>/dev/null)'
