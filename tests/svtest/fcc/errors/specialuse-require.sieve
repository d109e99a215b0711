require ["vacation", "fcc"];
vacation :fcc "Sent" :specialuse "\\Sent" "Gone.";
