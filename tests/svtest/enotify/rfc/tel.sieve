require "enotify";
notify :message "You got mail" "tel:+14085551212";
