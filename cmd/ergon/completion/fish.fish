# Completion of ergon for fish: ergon completion fish | source
function __ergon
    set -l words (commandline -opc)[2..-1] (commandline -ct)
    set -l reply (ergon completion words -- $words 2>/dev/null)
    for line in $reply[2..-1]
        echo $line
    end
    switch $reply[1]
        case files
            __fish_complete_path (commandline -ct)
        case 'command *'
            set -l n (string split ' ' -- $reply[1])[2]
            __fish_complete_subcommand --fcs-skip=(math $n + 1)
    end
end
complete -c ergon -f -a '(__ergon)'
