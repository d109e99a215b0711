require ["reject", "fcc"];
reject :fcc "Sent" "No.";
