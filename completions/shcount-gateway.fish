# SPDX-License-Identifier: MIT
# Completion of shcount-gateway for fish: whatever options `shcount-gateway --help` names, with what it says of them.

function __shcount_gateway_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q $program || set program shcount-gateway

    # What each option takes, and what it is.
    set -l names
    set -l kinds
    set -l whats
    for line in ($program --help 2>/dev/null)
        if set -l found (string match -r '^ +((?:-., )?)--([a-z0-9-]+)((?: [^ ]+)?)$' -- $line)
            set -a names --$found[3]
            set -a kinds (string trim -- $found[4])
            set -a whats ''
        else if test -n "$names" && set -l found (string match -r '^ {8}(.*)$' -- $line)
            set whats[-1] (string trim -- "$whats[-1] $found[2]")
        end
    end

    set -l option (string replace -r '^-f$' -- --config $words[-1])
    set -l before
    if string match -q -- '--*=*' $typed
        set option (string replace -r '=.*' '' -- $typed)
        set before $option=
    end
    set -l at (contains -i -- $option $names)
    if test -n "$at" && test -n "$kinds[$at]"
        switch $kinds[$at]
            case '*|*'
                printf '%s\n' "$before"(string split '|' -- $kinds[$at])
            case FILE PATH
                printf '%s\n' "$before"(__fish_complete_path (string replace -- "$before" '' $typed))
        end
    else
        for i in (seq (count $names))
            printf '%s\t%s\n' $names[$i] $whats[$i]
        end
    end
end

complete -c shcount-gateway -f -a '(__shcount_gateway_complete 2>/dev/null)'
